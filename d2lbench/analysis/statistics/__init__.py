"""The statistics behind every verdict: pure functions of numbers, knowing nothing of the project."""
