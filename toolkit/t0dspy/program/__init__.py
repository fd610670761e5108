"""The user's live DSPy program: load it, read its state, signatures and types."""
