"""The parts of dividing examples into sets: what ties them together, and what is remembered."""
