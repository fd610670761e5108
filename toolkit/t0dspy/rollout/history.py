"""A program's history of traffic, and where a rollback leads."""

from collections.abc import Mapping, Sequence

from t0dspy.manifest import Change
from t0dspy.traffic import incumbent


def incumbents(history: Sequence[Change], present: Mapping[str, float]) -> list[str]:
    """The incumbents one after the other, the present one last; what a rollback undid is not among them.

    Args:
        history: the recorded changes, oldest first. Shares that were edited by hand show as the next change's `before`.
        present: the shares as they are.
    """
    line: list[str] = []
    for change in history:
        _add(line, incumbent(change.before))
        after = incumbent(change.after)
        if change.undo and after in line:
            while line[-1] != after:
                line.pop()
        else:
            _add(line, after)
    _add(line, incumbent(present))
    return line


def previous_incumbent(history: Sequence[Change], present: Mapping[str, float]) -> str | None:
    """The last incumbent other than the present one; None when there was none."""
    line = incumbents(history, present)
    return next((version for version in reversed(line) if version != line[-1]), None)


def _add(line: list[str], version: str | None) -> None:
    if version is not None and (not line or line[-1] != version):
        line.append(version)
