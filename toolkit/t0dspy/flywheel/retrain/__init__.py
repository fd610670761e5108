"""One step of the loop: pull, curate, split, optimize, test, and export the winner."""
