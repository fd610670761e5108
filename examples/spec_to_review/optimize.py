"""Optimizes the program with MIPROv2 on a small budget.

    python -m examples.spec_to_review.optimize --api-base http://127.0.0.1:8200/v1 --out optimized.json

The program and MIPROv2's own prompts are answered by the same model. With `--model openai/gpt-4o-mini`, without
`--api-base` and with OPENAI_API_KEY set, that is a real one.
"""

import argparse
import json
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import dspy
from dspy.utils.callback import BaseCallback

from examples.spec_to_review.metric import grade, graded
from examples.spec_to_review.program import SpecToReview

DATA = Path(__file__).parent / "data"
TRIALS = 12
CANDIDATES = 4
"""Instructions, and sets of demos, for each predictor."""
DEMOS = 2
"""In a set, at most."""
THREADS = 4

Progress = Callable[[str, int, int], None]
"""Is told what is going on, how much of it is done, and of how much."""


@dataclass(frozen=True)
class Part:
    """A measurement on the validation set."""

    score: float
    """The mean grade, from 0 to 1."""
    passed: int
    """Specifications whose code passes all tests, and was approved of."""
    calls: int
    """Of the language model."""
    seconds: float


@dataclass(frozen=True)
class Optimized:
    """What came of it."""

    baseline: Part
    """The program as it is written."""
    optimized: Part
    """The best program that was found."""
    search: Mapping[str, float]
    """What the search for it took: trials, calls, seconds."""


class Calls(BaseCallback):
    """Counts calls of language models."""

    def __init__(self) -> None:
        """Starts at zero."""
        self.count = 0
        self._lock = threading.Lock()

    def on_lm_start(self, *_: Any, **__: Any) -> None:
        """One more."""
        with self._lock:
            self.count += 1


class Counting:
    """The metric, which tells how often it was asked."""

    def __init__(self, progress: Progress, total: int) -> None:
        """Tells `progress`; `total` is an estimate."""
        self.progress, self.total, self.count = progress, total, 0
        self._lock = threading.Lock()

    def __call__(self, example: Any, prediction: Any, trace: Any = None) -> float | bool:
        """The grade."""
        with self._lock:
            self.count += 1
            self.total = max(self.total, self.count)
            self.progress("MIPROv2 tries instructions and demos", self.count, self.total)
        return grade(example, prediction, trace)


def load(path: Path, count: int | None = None) -> list[dspy.Example]:
    """The rows of a data file as DSPy's examples, whose input is the specification."""
    rows = path.read_text(encoding="utf-8").splitlines()[:count]
    return [dspy.Example(**json.loads(row)).with_inputs("spec") for row in rows]


def optimize(
    lm: dspy.LM,
    train: Sequence[dspy.Example],
    validation: Sequence[dspy.Example],
    *,
    trials: int = TRIALS,
    seed: int = 9,
    progress: Progress = lambda what, done, total: None,
) -> tuple[dspy.Module, Optimized]:
    """The best program that MIPROv2 finds in `trials` trials, and figures; both scores are measured apart from it."""
    calls = Calls()
    with dspy.context(lm=lm, adapter=dspy.ChatAdapter(), callbacks=[calls]):
        baseline = measured(SpecToReview(), validation, calls)
        start, before = time.monotonic(), calls.count
        metric = Counting(progress, (trials + 1) * len(validation) + 3 * len(train) // 2)
        search = dspy.MIPROv2(
            metric=metric,
            prompt_model=lm,
            task_model=lm,
            auto=None,
            num_candidates=CANDIDATES,
            max_bootstrapped_demos=DEMOS,
            max_labeled_demos=0,
            num_threads=THREADS,
            seed=seed,
        )
        best = search.compile(
            SpecToReview(), trainset=list(train), valset=list(validation), num_trials=trials, minibatch=False
        )
        took = {"trials": trials, "calls": calls.count - before, "seconds": round(time.monotonic() - start, 1)}
        return best, Optimized(baseline, measured(best, validation, calls), took)


def measured(program: dspy.Module, examples: Sequence[dspy.Example], calls: Calls) -> Part:
    """The program's grades on examples. A run that fails is an error, not a zero."""
    start, before = time.monotonic(), calls.count
    evaluate = dspy.Evaluate(devset=list(examples), num_threads=THREADS, max_errors=1, provide_traceback=True)
    grades = [graded(example, made) for example, made, _ in evaluate(program, metric=grade).results]
    passed = sum(one.passed and one.agrees for one in grades)
    seconds = round(time.monotonic() - start, 1)
    return Part(mean([one.score for one in grades]), passed, calls.count - before, seconds)


def mean(scores: Sequence[float]) -> float:
    """Rounded, so that the order of summing does not show."""
    return round(sum(scores) / len(scores), 9)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m examples.spec_to_review.optimize", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="where the state of the program goes")
    parser.add_argument("--model", default="openai/offline", help="as dspy.LM names it (default: openai/offline)")
    parser.add_argument("--api-base", metavar="URL", help="of the offline model, such as http://127.0.0.1:8200/v1")
    parser.add_argument("--trials", type=int, default=TRIALS, help=f"of MIPROv2 (default: {TRIALS})")
    parser.add_argument("--train", type=int, metavar="N", help="use the first N specifications only")
    parser.add_argument("--validation", type=int, metavar="N", help="the same for the validation set")
    parser.add_argument("--seed", type=int, default=9, help="of MIPROv2 (default: 9)")
    given = parser.parse_args()
    place: dict[str, Any] = {"api_base": given.api_base, "api_key": "none"} if given.api_base else {}
    with redirect_stdout(sys.stderr):  # DSPy prints as it goes
        best, figures = optimize(
            dspy.LM(given.model, cache=False, **place),
            load(DATA / "train.jsonl", given.train),
            load(DATA / "validation.jsonl", given.validation),
            trials=given.trials,
            seed=given.seed,
            progress=lambda what, done, total: print(f"progress {done} {total} {what}", file=sys.stderr, flush=True),
        )
    best.save(str(given.out))
    print(json.dumps(asdict(figures)))


if __name__ == "__main__":
    main()
