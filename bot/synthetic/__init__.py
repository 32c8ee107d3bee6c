"""Students who do not exist: made up from a number, drawn as a webcam would show them, and following a script."""
