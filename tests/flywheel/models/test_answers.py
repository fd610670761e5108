"""Answers that were paid for survive a kill and are never paid for twice."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from t0dspy.flywheel.models.answers import Answer, Answers, request_key
from t0dspy.flywheel.models.budget import Stop

ANSWER = Answer(["text", {"text": "é", "reasoning_content": "\u2028"}], "m", 3, 4)


def test_answers_survive_a_kill_at_any_byte(tmp_path: Path) -> None:
    """A file cut off anywhere gives the whole lines before the cut, and takes new ones after it."""
    path = tmp_path / "answers.jsonl"
    with Answers(path) as answers:
        for at in range(3):
            answers.keep(f"k{at}", ANSWER)
    whole = path.read_bytes()
    lines = whole.split(b"\n")
    for cut in range(0, len(whole) + 1, 7):
        path.write_bytes(whole[:cut])
        with Answers(path) as answers:
            known = [at for at in range(3) if answers.get(f"k{at}") == ANSWER]
            assert known == list(range(whole[:cut].count(b"\n")))
            answers.keep("new", ANSWER)
        with Answers(path) as answers:
            assert answers.get("new") == ANSWER
    assert path.stat().st_mode & 0o077 == 0
    assert lines[0].startswith(b'{"key": "k0"')


def test_a_full_disk_ends_the_run() -> None:
    """What is paid for must be kept; it is no failed example."""
    answers = Answers()
    answers._file = Path("/dev/full").open("w", encoding="utf-8")  # noqa: SIM115 - closed by what it is given to
    with pytest.raises(Stop, match="No space left"):
        answers.keep("k", ANSWER)
    with contextlib.suppress(OSError):
        answers.close()


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3), st.text(max_size=5))
def test_a_request_is_known_by_what_is_asked(options: dict[str, str], text: str) -> None:
    """Not by address or key; another text, temperature or rollout is another request."""
    messages = [{"role": "user", "content": text}]
    key = request_key("m", None, messages, options)
    assert key == request_key("m", None, messages, {**options, "api_key": "secret", "api_base": "http://x"})
    assert key != request_key("m", None, messages, {**options, "temperature": 0.5})
    assert key != request_key("m", None, messages, {**options, "rollout_id": 1})
    assert key != request_key("n", None, messages, options)
    assert key != request_key("m", None, [{"role": "user", "content": text + "!"}], options)
