"""Which LM of a version a live `dspy.LM` is: by its name, its type and its address, and by nothing else."""

import dspy
import pytest

from t0dspy.artifact.lms import find_lm, identity_of
from t0dspy.model import LmEntry

LMS = {
    "large": LmEntry("openai/large", "openai::large"),
    "small": LmEntry("openai/small", "small", address="http://a:8000/v1"),
    "small_2": LmEntry("openai/small", "other", address="http://b:8000/v1/"),
    "spoken": LmEntry("openai/large", "spoken", type="responses"),
}


def lm(model: str, **options: object) -> dspy.LM:
    return dspy.LM(model, api_key="k", cache=False, **options)


@pytest.mark.parametrize(
    ("live", "name"),
    [
        (lm("openai/large"), "large"),
        (lm("openai/large", temperature=0.4, num_retries=9), "large"),
        (lm("openai/large").copy(rollout_id=3, temperature=1.0), "large"),
        (lm("openai/large", model_type="responses"), "spoken"),
        (lm("openai/small", api_base="http://a:8000/v1/"), "small"),
        (lm("openai/small", base_url="http://b:8000/v1"), "small_2"),
        (lm("openai/small", api_base="http://b:8000/v1", base_url="http://a:8000/v1"), "small_2"),
        (lm("openai/small"), None),
        (lm("openai/large", api_base="http://a:8000/v1"), None),
        (lm("azure/large"), None),
    ],
)
def test_lm_is_found_by_name_type_and_address(live: dspy.LM, name: str | None) -> None:
    assert find_lm(LMS, live) == name


def test_identity_is_shown_without_options() -> None:
    assert str(identity_of(lm("openai/small", api_base="http://a/v1"))) == "'openai/small' at http://a/v1"
