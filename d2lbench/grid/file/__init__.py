"""Grid files as they are written."""
