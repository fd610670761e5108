"""Names of functions: readable, free of collisions, stable over versions."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.strategies import thorough
from t0dspy.compiler.naming import function_name, slug, validate_name
from t0dspy.errors import SettingsError

paths = st.text(alphabet="ab_.[]'\"01 éA-", max_size=8) | st.sampled_from(
    ["self", "predict", "a.predict", "d['k']", 'd["k"]']
)
contracts = st.sampled_from(["one", "two"])

READABLE = [
    ("self", "predictor"),
    ("predict", "predictor"),
    ("steps[0].predict", "steps_0"),
    ("d['k']", "d_k"),
    ("d['it\\'s'].predict", "d_it_s"),
    ("extract.predict", "extract"),
    ("Plan_A", "plan_a"),
    ("é", "e9"),
    ("_private", "private"),
    ("predict.predict", "predict"),
]


@pytest.mark.parametrize(("path", "name"), READABLE)
def test_slugs_are_readable(path: str, name: str) -> None:
    """Someone who reads the gateway's logs finds the predictor again."""
    assert slug(path) == name


@thorough(300)
@given(st.lists(st.tuples(paths, contracts), max_size=12))
def test_names_never_collide_and_never_change(exports: list[tuple[str, str]]) -> None:
    """However predictors come, go and come back, one name stands for one predictor with one contract."""
    taken: dict[str, tuple[str, str]] = {}
    for path, fingerprint in exports:
        name = function_name("app", path, fingerprint, taken)
        assert re.fullmatch(r"app__[a-z0-9_]+", name)
        assert taken.get(name, (path, fingerprint)) == (path, fingerprint)
        taken[name] = (path, fingerprint)
        assert function_name("app", path, fingerprint, taken) == name
    assert len(set(taken.values())) == len(taken) == len(set(exports))


@pytest.mark.parametrize("name", ["review", "a", "Spec_to_review", "v2", "x9_y"])
def test_names_that_a_program_can_have(name: str) -> None:
    """Letters, digits and single underscores."""
    assert validate_name(name) == name


@pytest.mark.parametrize("name", ["", "2x", "_x", "a__b", "a-b", "a b", "é", "a/b", "..", "a.b", "a\n"])
def test_names_that_a_program_cannot_have(name: str) -> None:
    """A name ends in paths, TOML and URLs; the error proposes one that works."""
    with pytest.raises(SettingsError, match="--name ") as caught:
        validate_name(name)
    proposed = str(caught.value).partition("--name ")[2].split(".")[0]
    assert validate_name(proposed) == proposed
