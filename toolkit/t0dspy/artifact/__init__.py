"""An exported program on disk: its files, manifest, versions and traffic. It needs no DSPy."""
