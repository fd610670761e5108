"""Learn from production: pull examples, optimize a program, test the result, and export it if it is better."""
