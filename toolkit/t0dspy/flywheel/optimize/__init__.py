"""Search for a better program."""
