"""Score versions with a metric."""
