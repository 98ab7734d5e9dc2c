"""What a person asks of the suite, as functions: a command makes one call of it."""
