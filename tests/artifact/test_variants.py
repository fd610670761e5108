"""The names of variants: what they say about the version, the LM and the text."""

import pytest

from t0dspy.artifact.variants import is_candidate, is_fallback_text, variant_name, version_of


@pytest.mark.parametrize("lm", [None, "small", "gpt_4o", "a_1"])
@pytest.mark.parametrize("fallback", [False, True])
def test_a_name_is_read_back(lm: str | None, fallback: bool) -> None:
    """Only the plain variant can have traffic."""
    name = variant_name("v12", lm, fallback=fallback)
    assert version_of(name) == "v12"
    assert is_fallback_text(name) is fallback
    assert is_candidate(name) is (lm is None and not fallback)


def test_other_names_stand_for_themselves() -> None:
    """A variant of somebody's own function is no version of ours."""
    assert version_of("gpt_4o_json") == "gpt_4o_json"
    assert not is_fallback_text("gpt_4o_json")
