"""Send what DSPy would send a provider through the gateway instead, and return what the provider answers."""
