"""The engine: plans cells into stacks, trains each stack as one tensor program, records what became of it."""
