"""What the store lacks, as stacks of work, carried out by worker processes."""
