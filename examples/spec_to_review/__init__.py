"""A specification goes in; code, tests and a review come out. See README.md beside this file."""
