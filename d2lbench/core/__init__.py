"""What every room speaks of; imports no other room."""
