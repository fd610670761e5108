"""Once around the loop, on this machine, measured: `make demo`."""
