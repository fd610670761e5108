"""What is in a window, and that adjacent windows make one."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.production import LONG, Production, by_id, now, window
from t0dspy.errors import SettingsError
from t0dspy.flywheel.pull.window import length_of, rfc3339, time_of, timestamp_of, window_of
from t0dspy.transport.episode import new_episode

DAY = 86_400_000


def stored_long_ago(production: Production, days: int) -> str:
    """An inference of `question` as it would have been stored `days` ago; the gateway makes ids of today only."""
    id = new_episode()
    milliseconds = int(id[:8] + id[9:13], 16) - days * DAY
    old = f"{milliseconds:012x}"
    old = f"{old[:8]}-{old[8:]}{id[13:]}"
    said = str(production.infer("question", question="long ago?").inference_id)
    production.served.rows(
        f"INSERT INTO ChatInference (id, function_name, variant_name, episode_id, input, output, tags) "
        f"SELECT '{old}', function_name, variant_name, '{old}', input, output, tags FROM ChatInference "
        f"WHERE id = '{said}' SETTINGS output_format_parallel_formatting = 0"
    )
    return old


def test_feedback_brings_an_old_inference_back(production: Production) -> None:
    """Months later: the window of the feedback has it, that of the inference too, those between have not."""
    old = stored_long_ago(production, 90)
    assert old not in by_id(production.pull("question", window="30d")[0])
    production.say(old, "good", True)
    found = by_id(production.pull("question", window="30d")[0])[old]
    assert found.metrics == {"good": True}
    assert (datetime.now(UTC) - time_of(str(found.timestamp))).days == 90
    then = datetime.now(UTC) - timedelta(days=89)
    assert by_id(production.pull("question", window="4w", until=then)[0])[old].metrics == {}
    assert production.pull("question", window="4w", until=then + timedelta(days=40))[0] == []


def test_adjacent_windows_make_one(production: Production) -> None:
    """Whatever happens where: joined by `inference_id`, the later line for the earlier, they are the whole's lines."""
    moments = [now()]
    one = production.infer("tales", topic="1")
    moments.append(now())
    other = production.infer("tales", options={"episode_id": str(one.episode_id)}, topic="2")
    production.say(one, "good", True)
    moments.append(now())
    stage = production.pull("tales")[0][0].stages[1]
    production.say(one, "good", False)
    production.say(one, "score", 0.5, episode=True)
    moments.append(now())
    production.say(str(stage.inference_id), "comment", "about a stage")
    moments.append(now())
    production.say(other, "demonstration", {"text": "better"})
    moments.append(now())
    whole = by_id(production.pull("tales", **window(moments[0], moments[-1]))[0])
    assert len(whole) == 2
    for cut in moments[1:-1]:
        parts = [window(moments[0], cut), window(cut, moments[-1])]
        first, second = (by_id(production.pull("tales", **part)[0]) for part in parts)
        assert {**first, **second} == whole


def test_what_is_said_later_is_not_known(production: Production) -> None:
    """A pull until a time gives the same lines whenever it is made."""
    said = production.infer("question", question="who?")
    production.say(said, "good", True)
    until = now()
    before, _ = production.pull("question", window=LONG, until=until)
    production.say(said, "good", False)
    production.say(said, "demonstration", "other words")
    assert production.pull("question", window=LONG, until=until)[0] == before
    assert production.only("question", metrics={"good": True}, until=until) == before[0]


def test_an_empty_window(production: Production) -> None:
    """No example, no drop, no error."""
    found, summary = production.pull("tales", until=datetime(1971, 1, 1, tzinfo=UTC), window="4w")
    assert (found, summary.rows_read, summary.drops, summary.complete) == ([], 0, {}, True)
    assert summary.until == "1971-01-01T00:00:00.000Z"


def test_lengths() -> None:
    assert [length_of(text) for text in ("45m", "12h", "30d", "4w")] == [
        timedelta(minutes=45),
        timedelta(hours=12),
        timedelta(days=30),
        timedelta(days=28),
    ]


@pytest.mark.parametrize("text", ["", "30", "d", "0d", "-1d", "1.5h", "30D", "3y", "30d ", "٣d", "9999999999d"])
def test_no_lengths(text: str) -> None:
    with pytest.raises(SettingsError, match="write a number with m, h, d or w"):
        length_of(text)


@pytest.mark.parametrize("text", ["", "yesterday", "30d", "2026-13-01", "2026-11-30T25:00"])
def test_no_times(text: str) -> None:
    with pytest.raises(SettingsError, match="write it as 2026-11-30T12:00:00Z"):
        time_of(text)


def test_a_time_without_a_zone_is_utc() -> None:
    assert time_of("2026-11-30") == datetime(2026, 11, 30, tzinfo=UTC)
    assert time_of("2026-11-30T12:00:00+02:00") == time_of("2026-11-30T10:00:00Z") == time_of("2026-11-30T10:00")


def test_a_window_may_begin_before_all_time() -> None:
    assert window_of("999999999w", datetime(2026, 1, 1, tzinfo=UTC)).since == 0


@given(st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1)), st.integers(1, 10_000), st.sampled_from("mhdw"))
def test_adjacent_windows_share_their_edge(until: datetime, number: int, unit: str) -> None:
    """The end of one is the beginning of the next, to the millisecond."""
    later = window_of(f"{number}{unit}", until)
    edge: Any = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=later.since)
    assert window_of("1m", edge).until == later.since
    assert later.until - 1 < (until.replace(tzinfo=UTC).timestamp() * 1000) + 1e-3 <= later.until + 1


@given(st.integers(0, 2**47))
def test_times_are_written_as_python_does(milliseconds: int) -> None:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=min(milliseconds, 253_402_300_799_999))
    written = rfc3339(min(milliseconds, 253_402_300_799_999))
    assert written == moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    text = f"{milliseconds:012x}"
    assert timestamp_of(f"{text[:8]}-{text[8:]}-7000-8000-000000000000").startswith(rfc3339(milliseconds)[:4])
