"""The parts of a pull: which rows, in what portions, read as what, left out why."""
