"""Self-tests of the clock: the harness put to the test, and its agreement with torch's own timer."""
