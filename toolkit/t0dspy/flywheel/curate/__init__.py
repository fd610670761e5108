"""Drop examples that teach nothing, and count why."""
