"""The steps after the feedback: retrain, call again, roll back."""

from collections.abc import Callable, Sequence

from examples.spec_to_review.demo.steps import Demo

STEPS: Sequence[Callable[[Demo], None]] = ()
