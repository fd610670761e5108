"""A live DSPy program in, a bundle of `{path: text}` out; no network, no clock, no disk."""
