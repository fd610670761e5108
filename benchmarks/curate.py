"""Curating and dividing many examples: the cost of each must not grow with their number."""

import random
import string
from itertools import combinations

from benchmarks import Row, median_seconds, ratio
from t0dspy.flywheel.curate.curate import CurateOptions, curate
from t0dspy.flywheel.example import PulledExample
from t0dspy.flywheel.split.split import SetState, split

FEW, MANY, PAIRED, SIZE = 1_000, 10_000, 60, 5_000
EVERYTHING = CurateOptions(limit=None, caps=())


def examples(count: int) -> list[PulledExample]:
    """Return inputs of 5 kB of words, a third of them an earlier input with three words changed."""
    draw = random.Random(1)
    words = ["".join(draw.choices(string.ascii_lowercase, k=draw.randint(2, 9))) for _ in range(5_000)]
    texts: list[list[str]] = []
    for _ in range(count):
        text = list(draw.choice(texts)) if texts and draw.random() < 1 / 3 else draw.choices(words, k=SIZE * 2 // 13)
        for _ in range(3):
            text[draw.randrange(len(text))] = draw.choice(words)
        texts.append(text)
    answer = {"label": "a"}
    return [
        PulledExample(inputs={"text": " ".join(text)}, outputs=answer, model_outputs=answer, episode_id=f"e{number}")
        for number, text in enumerate(texts)
    ]


def all_pairs(some: list[PulledExample]) -> int:
    """How many pairs are near-duplicates, by the shingles themselves."""
    texts = [first.inputs["text"] for first in some]
    shingled = [{text[start : start + 5] for start in range(len(text) - 4)} for text in texts]
    return sum(len(first & second) >= 0.8 * len(first | second) for first, second in combinations(shingled, 2))


def measure() -> list[Row]:
    many = examples(MANY)
    few, paired = many[:FEW], many[:PAIRED]
    pair = median_seconds(lambda: all_pairs(paired), 3) / (PAIRED * (PAIRED - 1) / 2)
    curating = [median_seconds(lambda some=some: curate(some, EVERYTHING), 1) for some in (many, few)]
    dividing = [median_seconds(lambda some=some: split(some, SetState()), 1) for some in (many, few)]
    pairs = pair * MANY * (MANY - 1) / 2
    return [
        Row(
            f"curating {MANY:,} examples of 5 kB, times as fast as comparing all pairs of them",
            f"{pairs / curating[0]:,.0f}x ({curating[0]:,.1f} s against {pairs:,.0f} s, reckoned from {PAIRED})",
            "at least 500x",
            pairs >= 500 * curating[0],
        ),
        ratio(
            f"curating one example among {MANY:,} against one among {FEW:,}", curating[0] / MANY, curating[1] / FEW, 2
        ),
        ratio(
            f"dividing one example among {MANY:,} against one among {FEW:,}", dividing[0] / MANY, dividing[1] / FEW, 2
        ),
    ]
