"""Name the LMs of a version, because a variant for an LM is called `v1__NAME`."""

import re
from collections.abc import Iterable

from t0dspy.artifact.lms import LmIdentity

_LONGEST = 40


def name_lms(identities: Iterable[LmIdentity]) -> dict[LmIdentity, str]:
    """Return a name for each LM: unique, of lowercase letters, digits and single underscores.

    Equal LMs in the same order have equal names. No name ends in `_json`, because variants of the JSON fallback do.
    """
    names: dict[LmIdentity, str] = {}
    for identity in identities:
        base = _slug(identity.model)
        name, count = base, 1
        while name in names.values():
            count += 1
            name = f"{base}_{count}"
        names[identity] = name
    return names


def _slug(model: str) -> str:
    text = re.sub(r"[^a-z0-9]+", "_", model.rpartition("/")[2].lower()).strip("_")[:_LONGEST].strip("_") or "lm"
    return f"{text}_lm" if text.endswith("_json") else text
