"""The parts of an evaluation: how a version is run, scored, and its scores given back."""
