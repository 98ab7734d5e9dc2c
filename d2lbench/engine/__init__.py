"""One training loop for stacks of cells: each stack is one tensor program, planned, trained and probed here."""
