"""What may be asked for, and where a rollback leads: decisions without a disk or a gateway."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.strategies import PURE
from t0dspy.artifact.manifest import Change
from t0dspy.errors import SettingsError
from t0dspy.rollout.history import incumbents, previous_incumbent
from t0dspy.rollout.served import same_shares
from t0dspy.rollout.shares import parse_shares


def test_shares_are_read() -> None:
    """As they are written on the command line."""
    assert parse_shares(["v1=0.9", "v2=.1"]) == {"v1": 0.9, "v2": 0.1}


MISTAKES = [
    (["v1"], "'v1' is not a share. Write VERSION=SHARE, such as v1=0.9."),
    (["=1"], "'=1' is not a share."),
    (["v1=all"], "the share of v1 is 'all'; write a number, such as 0.9."),
    (["v1=1", "v2=0"], "a share of 0 for v2: leave it out, and it gets none."),
    (["v1=-1", "v2=2"], "a share of -1 for v1: give more than 0 and at most 1."),
    (["v1=nan"], "a share of nan for v1"),
    (["v1=90", "v2=10"], "a share of 90 for v1: give more than 0 and at most 1."),
    (["v1=0.5", "v1=0.5"], "v1 is given twice."),
    (["v1=0.9", "v2=0.2"], "v1=0.9 v2=0.2 add up to 1.1, not 1. Name every version that should have traffic"),
    (["v2=0.1"], "v2=0.1 add up to 0.1, not 1."),
]


@pytest.mark.parametrize(("texts", "reason"), MISTAKES)
def test_mistakes_are_named(texts: list[str], reason: str) -> None:
    """One clear message, with the value."""
    with pytest.raises(SettingsError) as caught:
        parse_shares(texts)
    assert str(caught.value).startswith(reason)


@PURE
@given(st.lists(st.text(max_size=8), min_size=1, max_size=4))
def test_any_text_is_read_or_refused(texts: list[str]) -> None:
    """Whatever is typed, the answer is shares that make one, or a message."""
    try:
        shares = parse_shares(texts)
    except SettingsError:
        return
    assert sum(shares.values()) == pytest.approx(1)


def history(*incumbents: str) -> list[Change]:
    """A line of changes, each giving everything to the next version; a name with `<` before it is a rollback."""
    changes, before = [], {}
    for name in incumbents:
        after = {name.lstrip("<"): 1.0}
        changes.append(Change("t", "r", before, after, undo=name.startswith("<")))
        before = after
    return changes


@pytest.mark.parametrize(
    ("line", "back"),
    [
        ("v1", None),
        ("v1 v2", "v1"),
        ("v1 v2 v3", "v2"),
        ("v1 v2 v3 <v2", "v1"),  # again steps further back, not to where it came from
        ("v1 v2 v3 <v2 <v1", None),
        ("v1 v2 v3 <v2 v4", "v2"),
        ("v1 v2 v3 <v1", None),  # --to v1
        ("v1 v2 <v1 <v2", "v1"),  # --to v2, which is no way back: a step on
        ("v1 v2 v1", "v2"),  # set by hand, not undone
        ("v1 v1 v2 v2", "v1"),
    ],
)
def test_a_rollback_goes_one_incumbent_back(line: str, back: str | None) -> None:
    """And once more one further."""
    changes = history(*line.split())
    assert previous_incumbent(changes, changes[-1].after) == back


def test_a_canary_is_no_incumbent() -> None:
    """The largest share counts; edits by hand show as what the next change found, or as the present."""
    canary = Change("t", "r", {"v1": 1.0}, {"v1": 0.9, "v2": 0.1})
    assert previous_incumbent([canary], canary.after) is None
    assert previous_incumbent([canary], {"v2": 1.0}) == "v1"
    assert incumbents([canary, Change("t", "r", {"v3": 1.0}, {"v4": 1.0})], {"v5": 1.0}) == ["v1", "v3", "v4", "v5"]


@PURE
@given(st.lists(st.sampled_from(["v1", "v2", "v3", "v4"]), min_size=1, max_size=8))
def test_rolling_back_ends(line: list[str]) -> None:
    """Each step leads to another incumbent, through all that there were, and then there is none."""
    changes = history(*line)
    steps = len(incumbents(changes, changes[-1].after))
    for _ in range(steps - 1):
        present = changes[-1].after
        back = previous_incumbent(changes, present)
        assert back is not None
        assert {back: 1.0} != present
        changes.append(Change("t", "r", present, {back: 1.0}, undo=True))
    assert previous_incumbent(changes, changes[-1].after) is None


def test_weights_mean_shares() -> None:
    """The gateway takes weights, so 9 to 1 is 0.9 to 0.1."""
    assert same_shares({"v1": 9, "v2": 1}, {"v1": 0.9, "v2": 0.1})
    assert not same_shares({"v1": 0.9, "v2": 0.1}, {"v1": 0.8, "v2": 0.2})
    assert not same_shares({"v1": 1.0}, {"v2": 1.0})
    assert same_shares({}, {})
