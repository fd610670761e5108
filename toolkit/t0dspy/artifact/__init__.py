"""Read and write exported programs on disk: files, manifest, versions and traffic, without importing DSPy."""
