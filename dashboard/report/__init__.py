"""What happened in a class: its events and marks, made into one account that can be read, printed and compared."""
