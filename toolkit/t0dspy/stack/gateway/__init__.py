"""The embedded gateway behind TensorZero's routes."""
