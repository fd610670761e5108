"""Compile a live DSPy program to files, as a mapping of path to text, without network, clock or disk."""
