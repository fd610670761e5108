"""Find the previous incumbent and the versions that await review in a program's history of traffic."""

from collections.abc import Mapping, Sequence
from itertools import takewhile

from t0dspy.artifact.manifest import Change, Manifest, review_reason
from t0dspy.artifact.rollout_toml import incumbent


def incumbents(history: Sequence[Change], present: Mapping[str, float]) -> list[str]:
    """Return the incumbents in order, the current one last, without those that a rollback undid.

    Args:
        history: the recorded changes, oldest first. Shares that were edited by hand show as the next change's `before`.
        present: the current shares.
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
    """Return the last incumbent other than the current one; None if there was none."""
    line = incumbents(history, present)
    return next((version for version in reversed(line) if version != line[-1]), None)


def awaiting_review(manifest: Manifest) -> list[str]:
    """Return the versions that wait for a person's decision, oldest first.

    A retrain with `review` exports its winner without traffic, and the history records that the version awaits review.
    The next change of traffic is the decision, whether it gives the version a share or confirms the old shares.
    """
    reasons = {review_reason(version): version for version in manifest.versions}
    trailing = takewhile(lambda change: change.reason in reasons, reversed(manifest.history))
    return [reasons[change.reason] for change in trailing][::-1]


def _add(line: list[str], version: str | None) -> None:
    if version is not None and (not line or line[-1] != version):
        line.append(version)
