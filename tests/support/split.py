"""Examples to divide, and what must hold of every division."""

import random
import string
from typing import Any

from t0dspy.flywheel.example import PulledExample


def example(text: Any, episode: str | None = None, **more: Any) -> PulledExample:
    given = {"outputs": {"answer": "a"}, "model_outputs": {"answer": "a"}, **more}
    return PulledExample(inputs={"text": text}, episode_id=episode, **given)


def various(count: int, seed: int = 1, **more: Any) -> list[PulledExample]:
    draw = random.Random(seed)
    return [
        example("".join(draw.choices(string.ascii_letters + " ", k=80)), f"e{seed}-{at}", **more) for at in range(count)
    ]
