"""Score versions of a program on a data set with the user's metric."""
