"""`t0dspy run` and `t0dspy feedback`, as a user types them."""

import json
from pathlib import Path
from typing import Any

import pytest

from support.served import Served, chat
from t0dspy.cli import app
from t0dspy.cli.failures import run_command
from t0dspy.testing import ScriptedUpstream


class Command:
    """The command, run in this process, with the stack's addresses in the environment."""

    def __init__(self, served: Served, capsys: pytest.CaptureFixture[str]) -> None:
        self.served, self.capsys = served, capsys

    def __call__(self, *words: str, code: int = 0) -> str:
        """stdout of a command that ends well; stderr of one that does not."""
        arguments = [*words, f"--configs={self.served.configs}"]
        ended = run_command(lambda: app(arguments, standalone_mode=False))
        printed = self.capsys.readouterr()
        assert ended == code, printed.err
        return printed.out if code == 0 else printed.err

    def run(self, name: str, fields: Any, *words: str) -> Any:
        """What `t0dspy run` prints."""
        return json.loads(self("run", name, "--input", json.dumps(fields), *words))


@pytest.fixture
def command(
    served: Served, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    monkeypatch.setenv("TENSORZERO_GATEWAY_URL", served.url)
    monkeypatch.setenv("TENSORZERO_CLICKHOUSE_URL", served.urls["clickhouse"] + "/tensorzero")
    return Command(served, capsys)


def test_run_a_program(command: Command) -> None:
    """One JSON object, and the version that was asked for."""
    found = command.run("tales", {"topic": "cats"}, "--variant", "v2")
    assert found.keys() == {"inference_id", "episode_id", "variant", "output"}
    assert (found["variant"], found["output"]) == ("v2", {"text": "text of NEW outline of cats"})


def test_run_from_a_file(command: Command, project: Path) -> None:
    """`@FILE` holds the input."""
    (project / "input.json").write_text('{"topic": "cats"}', encoding="utf-8")
    found = json.loads(command("run", "both", "--input", "@input.json"))
    assert found["output"] == {"left": "left of cats", "right": "right of cats"}


def test_run_predictors_in_both_texts(command: Command, scripted: ScriptedUpstream) -> None:
    """Chat text and JSON text are read by DSPy's parser, into typed fields."""
    assert command.run("question", {"question": "who?"})["output"] == {"answer": "answer to who?"}
    assert command.run("tales__write", {"outline": "o"})["output"] == {"text": "text of o"}
    scripted.script = '```json\n{"reasoning": "r", "answer": "no",}\n```'
    assert command.run("thinker", {"question": "ok?"})["output"] == {"reasoning": "r", "answer": "no"}
    scripted.script = chat(author='{"fullName": "Ada", "age": 36}')
    found = command.run("library__find", {"title": "Notes", "written": None})
    assert found["output"] == {"author": {"fullName": "Ada", "age": 36}}


def test_run_a_predictor_whose_demos_are_turns(command: Command, scripted: ScriptedUpstream) -> None:
    """Its demo turns are sent with it, and the version that has them is pinned."""
    assert command.run("asker__predictor", {"question": "a?"})["output"] == {"answer": "answer to a?"}
    assert [one["role"] for one in scripted.requests[0].body["messages"]] == ["system", "user", "assistant", "user"]


def test_run_says_which_field_is_wrong(command: Command, scripted: ScriptedUpstream) -> None:
    """A wrong input is not sent."""
    said = command("run", "library", "--input", '{"title": 7}', code=1)
    assert "the input of library, field 'title': 7 is not of type 'string'. It takes title, written?." in said
    assert "'title' is a required property" in command("run", "library", "--input", "{}", code=1)
    assert "('extra' was unexpected)" in command("run", "library", "--input", '{"title": "", "extra": 1}', code=1)
    assert "not JSON" in command("run", "library", "--input", "{title}", code=1)
    assert "cannot be read" in command("run", "library", "--input", "@nothing.json", code=1)
    assert "no exported function 'tale'" in command("run", "tale", "--input", "{}", code=1)
    assert "no version 'v7'; there are v1, v2" in command(
        "run", "tales", "--input", '{"topic": ""}', "--variant", "v7", code=1
    )
    assert not scripted.requests


def test_run_an_answer_that_does_not_read(command: Command, scripted: ScriptedUpstream) -> None:
    """The inference is named, so that it can be looked at."""
    scripted.script = "nonsense"
    said = command("run", "question", "--input", '{"question": "who?"}', code=1)
    assert "answered (inference" in said
    assert "'nonsense'" in said


def test_metrics_and_comments_are_seen_stored(command: Command, served: Served) -> None:
    """The command returns once the row is there."""
    run = command.run("question", {"question": "who?"})
    inference, episode = run["inference_id"], run["episode_id"]
    assert command("feedback", inference, "good", "true").startswith("stored good ")
    command("feedback", episode, "score", "0.5", "--episode")
    command("feedback", inference, "comment", "true")
    assert command("feedback", episode, "comment", "nice", "--episode", "--quiet") == ""
    assert served.rows(f"SELECT value FROM BooleanMetricFeedback WHERE target_id = '{inference}'") == [["true"]]
    assert served.rows(f"SELECT value FROM FloatMetricFeedback WHERE target_id = '{episode}'") == [["0.5"]]
    found = served.rows(
        f"SELECT value FROM CommentFeedback WHERE target_id IN ('{inference}', '{episode}') ORDER BY value"
    )
    assert found == [["nice"], ["true"]]


def test_wrong_feedback_is_not_sent(command: Command) -> None:
    """Each refusal says what would be right."""
    id = command.run("question", {"question": "who?"})["inference_id"]
    assert "takes true or false, not '1'" in command("feedback", id, "good", "1", code=1)
    assert "give an episode's id with --episode" in command("feedback", id, "score", "1", code=1)
    assert "takes a number, not 'true'" in command("feedback", id, "score", "true", "--episode", code=1)
    for number in ("1e308", "inf", "nan", "9" * 400):
        said = command("feedback", id, "score", number, "--episode", code=1)
        assert "the metric 'score' takes a finite number of at most 3.4e+38 in size" in said
    assert "404" in command("feedback", id, "unheard_of", "1", code=1)
    unknown = "01a1f8ea-a3ec-7df2-8e26-ea00a65f301c"
    assert "is logged. Is it an episode's id" in command("feedback", unknown, "demonstration", "{}", code=1)
    assert "field 'answer': 7 is not of type 'string'" in command(
        "feedback", id, "demonstration", '{"answer": 7}', code=1
    )


def demonstration(served: Served, inference: str) -> tuple[Any, str]:
    query = "SELECT value, tags['t0dspy::filled'] FROM DemonstrationFeedback"
    url = served.urls["clickhouse"] + "/?database=tensorzero"
    import httpx

    sql = f"{query} WHERE inference_id = '{inference}' FORMAT JSONCompact"
    [[value, filled]] = httpx.post(url, content=sql, timeout=30, trust_env=False).json()["data"]
    return json.loads(value), filled


def test_a_demonstration_needs_labels_alone(command: Command, served: Served, scripted: ScriptedUpstream) -> None:
    """A json function's reasoning is filled with the model's own, and a tag says so."""
    scripted.script = '{"reasoning": "because", "answer": "no"}'
    id = command.run("thinker", {"question": "ok?"})["inference_id"]
    assert "filled in   reasoning" in command("feedback", id, "demonstration", '{"answer": "yes"}')
    value, filled = demonstration(served, id)
    assert value["parsed"] == {"reasoning": "because", "answer": "yes"}
    assert filled == "reasoning"


def test_a_demonstration_where_the_model_said_nothing_useful(
    command: Command, served: Served, scripted: ScriptedUpstream
) -> None:
    """Then the emptiest value that the schema takes stands in."""
    scripted.script = "nonsense"
    said = command("run", "thinker", "--input", '{"question": "ok?"}', code=1)
    id = said.partition("(inference ")[2].partition(")")[0]
    printed = json.loads(command("feedback", id, "demonstration", '{"answer": "yes"}', "--json"))
    assert (printed["value"], printed["filled"]) == ({"reasoning": "", "answer": "yes"}, ["reasoning"])


def test_a_demonstration_for_chat_text(command: Command, served: Served) -> None:
    """Fields become the text that DSPy's ChatAdapter reads; a text is taken as it is."""
    one, other = (command.run("question", {"question": "who?"})["inference_id"] for _ in range(2))
    command("feedback", one, "demonstration", '{"answer": "me"}')
    assert demonstration(served, one)[0] == [{"type": "text", "text": chat(answer="me") + "\n"}]
    command("feedback", other, "demonstration", "plain words")
    assert demonstration(served, other) == ([{"type": "text", "text": "plain words"}], "")


def test_feedback_without_a_database(command: Command, served: Served, scripted: ScriptedUpstream) -> None:
    """ClickHouse that is not there is named, without its password, and nothing is sent."""
    url = "http://user:secret@127.0.0.1:9/tensorzero"
    id = command.run("question", {"question": "who?"})["inference_id"]
    said = command("feedback", id, "good", "true", f"--clickhouse-url={url}", code=1)
    assert "ClickHouse at http://127.0.0.1:9/tensorzero" in said
    assert "secret" not in said
    assert served.rows(f"SELECT count() FROM BooleanMetricFeedback WHERE target_id = '{id}'") == [["0"]]


def test_tags_and_raters(command: Command, served: Served) -> None:
    """What is said of a call stands in its row and in those of its stages; feedback names its rater."""
    id = command.run("tales", {"topic": "cats"}, "--tag", "user_id=7", "--tag", "t0dspy::test=a=b")["inference_id"]
    tags = "SELECT tags['user_id'], tags['t0dspy::test'] FROM"
    assert served.rows(f"{tags} JsonInference WHERE id = '{id}'") == [["7", "a=b"]]
    stages = (
        "SELECT count() FROM ChatInference WHERE function_name LIKE 'tales\\_\\_%' AND tags['t0dspy::test'] = 'a=b'"
    )
    assert served.rows(stages) == [["2"]]
    command("feedback", id, "good", "true", "--by", "ann", "--tag", "t0dspy::test=true")
    query = f"SELECT tags['t0dspy::by'], tags['t0dspy::test'] FROM BooleanMetricFeedback WHERE target_id = '{id}'"
    assert served.rows(query) == [["ann", "true"]]


@pytest.mark.parametrize(
    ("tag", "said"),
    [
        ("user_id", "write a name, =, and a value, such as --tag t0dspy::test=true."),
        ("=x", "write a name, =, and a value"),
        ("tensorzero::x=1", "the tag 'tensorzero::x' is reserved: the gateway writes these tags itself"),
        ("t0dspy::by=ann", "the tag 't0dspy::by' is reserved: t0dspy writes these tags itself, except t0dspy::test."),
        ("a=\x1b[31m", "control character"),
        ("a=\ud800", "half a surrogate pair"),
    ],
)
def test_wrong_tags_are_not_sent(command: Command, tag: str, said: str) -> None:
    """One clear error for each, of both commands."""
    words = ["run", "question", "--input", '{"question": "who?"}', "--tag", tag]
    assert said in command(*words, code=1)
    assert said in command("feedback", "01a1f8ea-a3ec-7df2-8e26-ea00a65f301c", "good", "true", "--tag", tag, code=1)


def test_a_rater_has_a_name(command: Command) -> None:
    """An empty one is refused, and two values of one tag are."""
    id = "01a1f8ea-a3ec-7df2-8e26-ea00a65f301c"
    assert "write the name or the id of the rater" in command("feedback", id, "good", "true", "--by", " ", code=1)
    twice = command("feedback", id, "good", "true", "--tag", "a=1", "--tag", "a=2", code=1)
    assert "the tag 'a' is given twice" in twice
