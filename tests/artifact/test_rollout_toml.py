"""rollout.toml: shares, comments that survive, and hand-made mistakes with a clear message."""

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.strategies import PURE
from t0dspy.artifact.manifest import FunctionEntry, Manifest, PredictorEntry, VersionEntry
from t0dspy.artifact.rollout_toml import incumbent, read_shares, render, with_share
from t0dspy.errors import SettingsError
from t0dspy.model import PromptForm


def manifest(versions: int = 3, program: bool = True) -> Manifest:
    """A program with one stage, and a second one from v2 on."""
    functions = {"app": FunctionEntry(None, "json", "i", "o", "f")} if program else {}
    functions |= {f"app__s{at}": FunctionEntry(f"s{at}", "chat", "i", "o", "f") for at in (1, 2) if at <= versions}
    return Manifest("app", None, {}, functions, {f"v{at}": _version(at, program) for at in range(1, versions + 1)})


def _version(at: int, program: bool) -> VersionEntry:
    stages = ("s1",) if at == 1 else ("s1", "s2")
    predictors = {one: PredictorEntry(f"app__{one}", "m", {}, 0) for one in stages}
    return VersionEntry("h", None, None, "", "", "", PromptForm(), "programs" if program else None, predictors)


shares = st.dictionaries(st.sampled_from(["v1", "v2", "v3"]), st.floats(0.01, 1), min_size=1)


@PURE
@given(shares, st.sampled_from(["v1", "v2", "v3", "v4"]), st.floats(0.001, 0.999))
def test_a_new_share_scales_the_others(present: dict[str, float], version: str, share: float) -> None:
    """The version gets its share, the others keep their proportions, and all of it makes one."""
    total = sum(present.values())
    present = {name: one / total for name, one in present.items()}
    if present.keys() <= {version}:
        with pytest.raises(SettingsError, match="would be the only version in traffic"):
            with_share(present, version, share)
        return
    after = with_share(present, version, share)
    assert after[version] == pytest.approx(share, abs=1e-6)
    assert sum(after.values()) == pytest.approx(1, abs=1e-5)
    assert all(one > 0 for one in after.values())
    assert after.keys() == present.keys() | {version}


@pytest.mark.parametrize("share", [0, -0.1, 1.1, 50, float("nan"), float("inf")])
def test_shares_that_are_none(share: float) -> None:
    """Percentages and zeros are refused: a zero would still catch the others' failures."""
    with pytest.raises(SettingsError, match="give more than 0 and at most 1"):
        with_share({"v1": 1.0}, "v2", share)


def test_a_whole_share_takes_it_all() -> None:
    """Versions that are not named get none, and none means absent."""
    assert with_share({"v1": 0.5, "v2": 0.5}, "v3", 1) == {"v3": 1.0}


def test_the_incumbent_has_the_largest_share() -> None:
    """And of equals it is the older, by number and not by letter."""
    assert incumbent({"v1": 0.2, "v2": 0.8}) == "v2"
    assert incumbent({"v10": 0.5, "v9": 0.5}) == "v9"
    assert incumbent({}) is None


@PURE
@given(shares)
def test_what_is_written_is_read(present: dict[str, float]) -> None:
    """Writing and reading again loses nothing, and writing twice changes nothing."""
    text = render(None, manifest(), present, "rollout.toml")
    assert read_shares(text, manifest(), "rollout.toml") == present
    assert render(text, manifest(), present, "rollout.toml") == text


def test_stages_follow_the_incumbent() -> None:
    """A stage answers direct calls as the largest share that has it, else as its newest version."""
    functions = tomllib.loads(render(None, manifest(), {"v1": 0.9, "v3": 0.1}, "r"))["functions"]
    answering = {name: one["experimentation"]["candidate_variants"] for name, one in functions.items()}
    assert answering == {"app": {"v1": 0.9, "v3": 0.1}, "app__s1": ["v1"], "app__s2": ["v3"]}


def test_without_a_program_function_the_stages_say_it() -> None:
    """Under --stages-only the version in traffic is the one that all its stages name."""
    text = render(None, manifest(program=False), {"v2": 1.0}, "r")
    assert read_shares(text, manifest(program=False), "r") == {"v2": 1.0}


def test_comments_and_foreign_tables_survive() -> None:
    """People edit this file; what they wrote stays."""
    text = render(None, manifest(1), {"v1": 1.0}, "r")
    text = "# mine, at the top\n" + text.replace("[functions.app.exp", "# why: see the note é\n[functions.app.exp")
    text += "\n[functions.app.experimentation.more]\nkey = 1 # kept\n"
    after = render(text, manifest(2), {"v1": 0.9, "v2": 0.1}, "r")
    for kept in ("# mine, at the top\n", "# why: see the note é\n", "key = 1 # kept\n", 'type = "static"'):
        assert kept in after
    assert read_shares(after, manifest(2), "r") == {"v1": 0.9, "v2": 0.1}


def test_a_list_of_versions_means_equal_shares() -> None:
    """The gateway's shorter spelling is read too."""
    text = '[functions.app.experimentation]\ntype = "static"\ncandidate_variants = ["v1", "v2"]\n'
    assert read_shares(text, manifest(), "r") == {"v1": 0.5, "v2": 0.5}


def candidates(value: str) -> str:
    return f"[functions.app.experimentation]\ncandidate_variants = {value}\n"


MISTAKES: list[tuple[str, str]] = [
    ("[functions", "r: not valid TOML: "),
    ("", "[functions.app.experimentation] has no candidate_variants. Write them with `t0dspy traffic app v1=1`."),
    ("functions = 5", "functions is 5; it must be a table, [functions]."),
    ("[functions]\napp = 1", "functions.app is 1; it must be a table, [functions.app]."),
    (candidates("{ v9 = 1 }"), "app has no version 'v9'; there are v1, v2, v3."),
    (candidates('["v1", "v7"]'), "app has no version 'v7'"),
    (candidates("{ v1 = 0 }"), "the share of v1 is 0; give more than 0, or leave it out."),
    (candidates("{ v1 = -1 }"), "the share of v1 is -1"),
    (candidates('{ v1 = "all" }'), "the share of v1 is 'all'"),
    (candidates("{ v1 = true }"), "the share of v1 is True"),
    (candidates("{ v1 = inf }"), "the share of v1 is inf"),
    (candidates("{ v1 = nan }"), "the share of v1 is nan"),
    (candidates('"v1"'), "candidate_variants of app is 'v1'; write { v1 = 1 }."),
    (candidates("5"), "candidate_variants of app is 5; write { v1 = 1 }."),
]


@pytest.mark.parametrize(("text", "reason"), MISTAKES)
def test_mistakes_are_said_with_the_file(text: str, reason: str) -> None:
    """A hand-edited file with an error gives a message and never a stack trace."""
    with pytest.raises(SettingsError) as caught:
        read_shares(text, manifest(), "r")
    assert str(caught.value).startswith("r: ")
    assert reason in str(caught.value)


@pytest.mark.parametrize("text", ["functions = 5", "[functions]\napp = 1", "[functions.app]\nexperimentation = 1"])
def test_a_broken_file_is_not_written_over(text: str) -> None:
    """Writing meets the same mistakes with a message."""
    with pytest.raises(SettingsError, match="r: "):
        render(text, manifest(), {"v1": 1.0}, "r")


def test_types_of_shares_are_plain() -> None:
    """What is read are floats and ints, not wrappers of the TOML library."""
    read: Any = read_shares(candidates("{ v1 = 0.5, v2 = 1 }"), manifest(), "r")
    assert {type(one) for one in read.values()} <= {int, float}
