"""Functions as the stages hand them on: signature, requirements, examples."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from examples.spec_to_review.reading import Case, called


@dataclass(frozen=True)
class Wanted:
    """A function that is asked for."""

    signature: str
    requirements: Sequence[str]
    examples: Sequence[Case]

    @property
    def name(self) -> str:
        """Without the parameters."""
        return called(self.signature)

    @property
    def parameters(self) -> list[str]:
        """Their names."""
        inner = self.signature.partition("(")[2].rpartition(")")[0]
        return [one.partition(":")[0].partition("=")[0].strip() for one in inner.split(",") if one.strip()]

    def as_json(self) -> dict[str, Any]:
        """As the program's type has it."""
        examples = [{"call": call, "result": result} for call, result in self.examples]
        return {"signature": self.signature, "requirements": list(self.requirements), "examples": examples}


def read_wanted(text: str | None) -> list[Wanted]:
    """The functions in a JSON text; what is not of their shape is passed over."""
    found = [one for one in read_list(text) if isinstance(one, dict) and isinstance(one.get("signature"), str)]
    return [
        Wanted(
            one["signature"],
            [str(text) for text in _listed(one.get("requirements"))],
            [
                (str(example["call"]), str(example["result"]))
                for example in _listed(one.get("examples"))
                if isinstance(example, dict) and {"call", "result"} <= example.keys()
            ],
        )
        for one in found
    ]


def read_list(text: str | None) -> list[Any]:
    """A JSON list; empty where there is none."""
    try:
        return _listed(json.loads(text or "[]"))
    except (ValueError, RecursionError):
        return []


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
