"""Decide whether workers with reloaded code may replace the current ones."""

from collections.abc import Mapping

from t0dspy.runtime.server.messages import Offer


def find_loss(present: Mapping[str, Offer], reloaded: Mapping[str, Offer]) -> str:
    """Return the versions that workers with `present` can run and workers with `reloaded` cannot; empty if none.

    Only versions with traffic count, because newer code often no longer fits old versions that nobody calls.
    """
    losses = []
    for name, offer in reloaded.items():
        before = present.get(name)
        for version, refusal in offer.versions.items():
            ran = before is not None and before.versions.get(version) == ""
            if ran and refusal and version in offer.traffic:
                losses.append(f"{name}/{version}: {refusal}")
    return "; ".join(losses)
