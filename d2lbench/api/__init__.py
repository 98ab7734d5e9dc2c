"""The door: what a person asks of the suite, as functions and objects; a command makes one call of it."""
