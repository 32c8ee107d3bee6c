"""Students who are nobody: people made up from a number, drawn as a webcam would show them, who follow a script."""
