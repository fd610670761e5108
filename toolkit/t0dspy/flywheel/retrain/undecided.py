"""Find candidates that nobody has decided about; while there is one, a retrain makes no other."""

from collections.abc import Mapping, Sequence

from t0dspy.artifact.rollout_toml import incumbent


def undecided(shares: Mapping[str, float]) -> dict[str, float]:
    """Return the versions that compete with the incumbent, with their shares.

    Args:
        shares: version -> share of the traffic; the incumbent is the version with the largest share.
    """
    present = incumbent(shares)
    return {version: share for version, share in shares.items() if version != present and share > 0}


def undecided_reason(name: str, shares: Mapping[str, float]) -> str:
    """Return why a retrain of `name` waits, and what ends the wait; empty if no candidate is undecided."""
    waiting, present = undecided(shares), incumbent(shares)
    if not waiting:
        return ""
    listed = " and ".join(f"{version} ({share:.0%} of the traffic)" for version, share in waiting.items())
    newest = next(reversed(waiting))
    verb = "is" if len(waiting) == 1 else "are"
    return (
        f"{listed} {verb} undecided, so no further candidate is made. `t0dspy traffic {name} {newest}=1 --apply` "
        f"promotes {newest}, and `t0dspy traffic {name} {present}=1 --apply` keeps {present}. "
        "With --replace, retrain runs now, and a winner takes the undecided version's traffic"
    )


def review_reason(name: str, shares: Mapping[str, float], awaiting: Sequence[str]) -> str:
    """Return why a retrain of `name` waits for the review of the versions `awaiting`; empty for none."""
    if not awaiting:
        return ""
    listed, newest = " and ".join(awaiting), awaiting[-1]
    present = " ".join(f"{version}={share:g}" for version, share in shares.items())
    verb = "awaits" if len(awaiting) == 1 else "await"
    return (
        f"{listed} {verb} review, so no further candidate is made. A share for {newest} accepts it, and "
        f"`t0dspy traffic {name} {present}` refuses it. With --replace, retrain runs now"
    )


def new_candidates(before: Sequence[str], shares: Mapping[str, float]) -> list[str]:
    """Return the candidates that did not exist when the retrain began."""
    return [version for version in undecided(shares) if version not in before]
