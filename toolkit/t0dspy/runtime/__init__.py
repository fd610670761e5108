"""A DSPy program whose predictors are served by the gateway, and the program server."""
