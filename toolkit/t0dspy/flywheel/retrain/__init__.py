"""Run one step of the loop."""
