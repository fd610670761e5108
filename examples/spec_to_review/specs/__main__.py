"""`python -m examples.spec_to_review.specs` writes data/; with `--seed TEXT` it prints rows that nobody has seen."""

import argparse
import json
from pathlib import Path

from examples.spec_to_review.specs import Row, generate, keys

DATA = Path(__file__).parent.parent / "data"
SETS = {"train": 60, "validation": 30, "holdout": 30}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m examples.spec_to_review.specs", description=__doc__)
    parser.add_argument("--seed", help="print specifications from this seed instead of writing data/")
    parser.add_argument("--count", type=int, default=1, help="how many (default: 1)")
    parser.add_argument("--functions", type=int, choices=range(1, 21), metavar="1..20", help="functions in each")
    parser.add_argument("--words", type=int, default=0, help="at least so many words in each")
    given = parser.parse_args()
    if given.seed is not None:
        print(lines(generate(given.seed, given.count, functions=given.functions, words=given.words)), end="")
        return
    for name, rows in committed().items():
        (DATA / f"{name}.jsonl").write_text(lines(rows), encoding="utf-8")


def committed() -> dict[str, list[Row]]:
    """The rows of the three sets, none of which asks for what another asks for."""
    known: set[str] = set()
    sets: dict[str, list[Row]] = {}
    for name, count in SETS.items():
        sets[name] = generate(name, count, known=known)
        known |= keys(name, count, known)
    return sets


def lines(rows: list[Row]) -> str:
    """Rows as JSON lines."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


if __name__ == "__main__":
    main()
