"""Load the user's live DSPy program, and read its state, signatures and types."""
