"""What every room speaks of: cells and runs, the registry, errors, files, environment. Imports no other room."""
