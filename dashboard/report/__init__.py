"""The report of a class: its events and marks, summed up to be read, printed and compared."""
