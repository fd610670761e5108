"""Export a program: plan its next version, verify that the gateway sends what DSPy sends, and write it."""
