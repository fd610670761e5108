"""The parts of recompiling: what DSPy's optimizers start from, ask, spend and find."""
