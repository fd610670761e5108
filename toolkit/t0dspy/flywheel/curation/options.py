"""What of curation can be set."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Gold = Literal["required", "none"]
"""Whether the user's metric compares with a right answer, or judges an answer by itself."""


@dataclass(frozen=True)
class Cap:
    """No value of `by` may hold more than a share of what is kept, so that none of them owns it."""

    by: str
    """`variant`, or a field of a group: `tags.user_id`, `outputs.label`, `inputs.language`, `metrics.accepted`."""
    share: float
    """Above 0, up to 1. Where there are too few values for it, none may hold more than the second largest."""
    least: int = 20
    """So many a value may hold in any case."""


@dataclass(frozen=True)
class CurateOptions:
    """How a program's examples are curated."""

    gold: Gold = "none"
    """With `required`, an example without a right answer is dropped; with `none`, its input is of use by itself."""
    floor: Mapping[str, float] = field(default_factory=dict)
    """Metric -> least value (true is 1) that makes a model's own answer count as right."""
    tolerance: float = 0.2
    """The share of people, up to which those that rate an answer otherwise than the rest are outvoted."""
    similarity: float = 0.8
    """From which likeness on two inputs are near-duplicates, 0 to 1."""
    ignore: tuple[str, ...] = ()
    """Input fields that make no input another one, such as a request's id."""
    user_tag: str = "user_id"
    """The tag that says whose inference it was."""
    caps: tuple[Cap, ...] = (Cap("tags.user_id", 0.2), Cap("variant", 0.8, least=200))
    limit: int | None = 2000
    """The most examples that are kept; None for all."""
    redact: str | None = None
    """`module:function` from text to text, put over all texts of an example; None for off."""
    seed: int = 0
