"""The processes of `t0dspy up` and their supervisor."""
