"""Whether workers with reloaded code may replace the present ones."""

from collections.abc import Mapping

from t0dspy.runtime.server.messages import Offer


def find_loss(present: Mapping[str, Offer], reloaded: Mapping[str, Offer]) -> str:
    """Return why workers that offer `reloaded` would answer less than those that offer `present`; empty if they do not.

    Only versions with traffic count: nobody calls the others, and code may well have left them behind.
    """
    losses = []
    for name, offer in reloaded.items():
        before = present.get(name)
        for version, refusal in offer.versions.items():
            ran = before is not None and before.versions.get(version) == ""
            if ran and refusal and version in offer.traffic:
                losses.append(f"{name}/{version}: {refusal}")
    return "; ".join(losses)
