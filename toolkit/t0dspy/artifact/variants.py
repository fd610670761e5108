"""Names of the variants of a version: the candidate `v1`, the text of its JSON fallback, and those of other LMs.

A version `v1` of a predictor has these variants; only the first is ever a candidate for traffic:

    v1              the prompt of the export, on the predictor's own LM
    v1_json         the same prompt as DSPy's JSONAdapter writes it, for the second call after an answer that DSPy
                    cannot parse
    v1__small       the prompt on another LM of the program, which the version calls `small`
    v1__small_json  the JSON text on that LM
"""

import re

_VARIANT = re.compile(r"(?P<version>v[1-9][0-9]*)(?:__(?P<lm>[a-z0-9_]*?[a-z0-9]))??(?P<json>_json)?")


def variant_name(version: str, lm: str | None = None, *, fallback: bool = False) -> str:
    """Return the name of a variant of `version`.

    Args:
        version: the version, such as `v1`.
        lm: the version's name of an LM other than the predictor's own; None for its own.
        fallback: whether the variant has the text of the JSON fallback.
    """
    return version + (f"__{lm}" if lm else "") + ("_json" if fallback else "")


def version_of(variant: str) -> str:
    """Return the version of a variant; `variant` itself if t0dspy did not name it."""
    match = _VARIANT.fullmatch(variant)
    return match["version"] if match else variant


def lm_of_variant(variant: str) -> str | None:
    """Return the name of the LM that the variant is for; None if that is the predictor's own LM."""
    match = _VARIANT.fullmatch(variant)
    return match["lm"] if match else None


def is_fallback_text(variant: str) -> bool:
    """Return whether the variant has the text of the JSON fallback."""
    match = _VARIANT.fullmatch(variant)
    return bool(match and match["json"])


def is_candidate(variant: str) -> bool:
    """Return whether the variant is one that can have traffic, which is named as its version."""
    return version_of(variant) == variant
