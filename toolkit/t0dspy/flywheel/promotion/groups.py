"""Group the examples that may depend on each other: those of one user, or else of one episode."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from t0dspy.flywheel.example import PulledExample


def groups_of(examples: Iterable[PulledExample], user_tag: str) -> list[str]:
    """Return the name of each example's group: its user, or else its episode, or else the example itself.

    Args:
        examples: in any order.
        user_tag: the tag that names the user, as in the options of curation.
    """
    return [_group_of(example, user_tag, number) for number, example in enumerate(examples)]


def _group_of(example: PulledExample, user_tag: str, number: int) -> str:
    user = example.tags.get(user_tag)
    if user:
        return f"user {user}"
    return f"episode {example.episode_id}" if example.episode_id else f"example {number}"


def numbered(groups: Sequence[str], examples: int) -> NDArray[np.intp] | None:
    """Return the number of each example's group; None if each example is a group of its own.

    Raises:
        ValueError: the number of groups is not the number of examples.
    """
    if not groups:
        return None
    if len(groups) != examples:
        raise ValueError(f"{len(groups)} groups of {examples} examples")
    return np.unique(np.array(groups), return_inverse=True)[1].astype(np.intp)
