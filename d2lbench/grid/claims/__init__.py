"""Claims as they are meant: every arm, measure and margin found."""
