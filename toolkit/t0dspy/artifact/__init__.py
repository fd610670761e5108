"""An exported program on disk: its files, manifest, versions and traffic. Nothing here imports DSPy."""
