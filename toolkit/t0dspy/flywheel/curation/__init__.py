"""The steps of curation, one a file: each takes examples and says which it keeps, and why the others not."""
