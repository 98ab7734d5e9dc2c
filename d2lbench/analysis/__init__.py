"""From the runs in the store to tables, estimates and verdicts: the reading wing, which works without torch."""
