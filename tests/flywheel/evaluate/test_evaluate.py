"""Evaluating: the right scores, for the right version, however it is reached."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import t0dspy
from support.scripted import failing
from support.served import APPS, Served, asked, export, storyteller
from t0dspy.errors import BundleError, GatewayError, MetricError, OptimizeError, SettingsError
from t0dspy.flywheel.promotion.intervals import mean_interval
from t0dspy.testing import RecordedRequest, Reply, ScriptedUpstream

QUESTIONS = [{"question": f"q{at}", "answer": f"{'NEW ' if at < 6 else ''}answer to q{at}"} for at in range(8)]
"""What v1 gets right in 2 of 8 cases, v2 in 6."""

METRICS = """
import t0dspy

right = t0dspy.exact_match("answer")
told = t0dspy.exact_match("text")


def broken(example, prediction, trace=None):
    return example.no_such_label


def fussy(example, prediction, trace=None):
    if example.question == "q3":
        raise ValueError("q3")
    return len(prediction.answer) / 100
"""


def exported(configs: Path) -> None:
    export(configs, "stories:question")
    export(configs, "stories:question", instructions="NEW instructions.")
    export(configs, "stories:stories", name="tales")
    export(configs, "stories:stories", name="parts", stages_only=True)
    export(configs, "stories:naughty", signature="topic: str -> text: str")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, migrated: Path, model: ScriptedUpstream) -> Iterator[Served]:
    directory = tmp_path_factory.mktemp("evaluated")
    shutil.copytree(migrated, directory / "data", symlinks=True)
    with Served(directory, model) as stack:
        stack.programs(exported)
        yield stack.start()
        assert stack.stop() == 0


@pytest.fixture
def evaluate(served: Served, project: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """`t0dspy.evaluate` in a project with metrics."""
    monkeypatch.syspath_prepend(str(APPS))
    (project / "grades.py").write_text(METRICS)

    def evaluate(name: str = "question", data: Any = QUESTIONS, **options: Any) -> Any:
        given = t0dspy.EvaluateOptions(**{"metric": "grades:right", "threads": 4, **options})
        return t0dspy.evaluate(name, data, given, configs=served.configs, gateway_url=served.url)

    return evaluate


def means(found: Any) -> list[float]:
    return [one.interval.mean for one in found.versions]


def test_versions_are_scored_through_the_gateway(evaluate: Callable[..., Any], served: Served) -> None:
    """Each by its own prompts, paired example by example; and none of it is production."""
    found = evaluate(versions=["v1", "v2"])
    assert means(found) == [0.25, 0.75]
    assert [int(score) for score in found.versions[1].scores] == [1] * 6 + [0] * 2
    (pair,) = found.differences
    assert (pair.version, pair.against, pair.paired.interval.mean) == ("v2", "v1", 0.5)
    assert (pair.paired.better, pair.paired.worse) == (6, 2)
    assert pair.paired.interval.low < 0.5 < pair.paired.interval.high
    assert json.loads(json.dumps(found.as_json()))["versions"][0]["version"] == "v1"
    assert means(evaluate()) == [0.25]  # the incumbent
    assert (
        list(t0dspy.pull("question", configs=served.configs, clickhouse_url=served.urls["clickhouse"] + "/tensorzero"))
        == []
    )


def test_a_program_of_several_predictors(evaluate: Callable[..., Any]) -> None:
    """Through its program function, and, where only stages are exported, through `deploy`."""
    data = [{"topic": "sea", "text": "text of outline of sea"}, {"topic": "sky", "text": "rain"}]
    for name in ("tales", "parts"):
        assert means(evaluate(name, data, metric="grades:told")) == [0.5]


def test_straight_through_dspy(
    evaluate: Callable[..., Any], scripted: ScriptedUpstream, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same scores without a gateway, from the task model of the settings."""
    with pytest.raises(SettingsError, match="task_model"):
        evaluate(direct=True)
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    lm = f'task_model = {{ model = "openai/m", api_base = "{scripted.url}" }}'
    (project / "t0dspy.toml").write_text(f'[programs.question]\nprogram = "stories:question"\n{lm}\n')
    assert means(evaluate(direct=True, versions=["v2", "v1"])) == [0.75, 0.25]


def test_scores_go_back_as_feedback(evaluate: Callable[..., Any], served: Served) -> None:
    """On the inference or its episode, as the metric's level says, in the metric's own type."""
    assert evaluate(record="good").versions[0].recorded == 8
    values = served.rows("SELECT toString(value) FROM BooleanMetricFeedback WHERE metric_name = 'good'")
    assert sorted(value for (value,) in values) == ["false"] * 6 + ["true"] * 2
    parts = [{"topic": "a", "text": "b"}]
    assert evaluate("parts", parts, metric="grades:told", record="score").versions[0].recorded == 1
    assert served.rows("SELECT toString(value) FROM FloatMetricFeedback WHERE metric_name = 'score'") == [["0"]]
    with pytest.raises(SettingsError, match="level episode"):
        evaluate("parts", parts, metric="grades:told", record="good")
    with pytest.raises(SettingsError, match="good, score"):
        evaluate(record="nothing")


def test_failures_are_no_scores(evaluate: Callable[..., Any], scripted: ScriptedUpstream) -> None:
    """A metric or a model that fails is an error; a few failures are borne and named."""
    with pytest.raises(MetricError, match=r"8 of 8 runs.*no_such_label"):
        evaluate(metric="grades:broken")
    found = evaluate(data=[*QUESTIONS, *({"question": f"r{at}"} for at in range(4))], metric="grades:fussy")
    assert found.versions[0].failed == {"metric": 1}
    assert "q3" in found.versions[0].failures[0]
    scripted.script = "not the fields"
    with pytest.raises(OptimizeError, match="question v1"):
        evaluate()
    scripted.script = failing(storyteller, 0.5)  # type: ignore[arg-type]
    with pytest.raises(OptimizeError, match="no answer for"):
        evaluate()


TOPICS = [{"topic": f"t{at}", "text": f"text of outline of t{at}"} for at in range(8)]

DIRECT = """
[programs.{name}]
program = "stories:{attribute}"
task_model = {{ model = "openai/m", api_base = "{url}", num_retries = 0 }}
"""


def mumbling(request: RecordedRequest) -> str | Reply:
    """A storyteller whose answer about 3 of 8 does not parse, and who is never there for what ends in `away`."""
    fields = asked(request)
    if any(value.endswith("away") for value in fields.values()):
        return Reply("scripted failure", status=500)
    if any(value.endswith(("1", "4", "6")) for value in fields.values()):
        return 'prose, and {"type": "stage_failed"} in it'
    return storyteller(request)


@pytest.mark.parametrize(
    ("name", "data", "attribute"),
    [("question", QUESTIONS, "question"), ("tales", TOPICS, "stories"), ("parts", TOPICS, "stories")],
)
def test_an_answer_that_does_not_parse_scores_0_either_way(
    evaluate: Callable[..., Any],
    scripted: ScriptedUpstream,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    data: Any,
    attribute: str,
) -> None:
    """One predictor, a program function, or stages only: the gateway and `--direct` give one score and one count."""
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    (project / "t0dspy.toml").write_text(DIRECT.format(name=name, attribute=attribute, url=scripted.url))
    scripted.script = mumbling
    metric = {"metric": "grades:right"} if name == "question" else {"metric": "grades:told"}
    direct, through = (evaluate(name, data, direct=way, versions=["v1"], **metric).versions[0] for way in (True, False))
    assert through.failed == direct.failed == {"answer": 3}
    assert through.scores == direct.scores
    assert through.interval.mean == direct.interval.mean
    assert through.examples["answer"].startswith(("AnswerNotParsedError: ", "AdapterParseError: "))


def test_an_outage_is_no_score_either_way(evaluate: Callable[..., Any], scripted: ScriptedUpstream) -> None:
    """Mixed with answers that do not parse, the runs that got no answer are still an error."""
    scripted.script = mumbling
    data = [*TOPICS[:4], {"topic": "far away", "text": "x"}, {"topic": "away", "text": "x"}]
    with pytest.raises(OptimizeError, match="no answer for 2 of 6 runs"):
        evaluate("tales", data, metric="grades:told")


def test_code_that_raises_scores_0_either_way(
    evaluate: Callable[..., Any], scripted: ScriptedUpstream, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception in the program's own code is the program's failure, through the program server too."""
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    (project / "t0dspy.toml").write_text(DIRECT.format(name="naughty", attribute="naughty", url=scripted.url))
    data = [{"topic": topic, "text": f"text of outline of {topic}"} for topic in ("calm", "raise", "still")]
    for direct in (True, False):
        found = evaluate("naughty", data, metric="grades:told", direct=direct).versions[0]
        assert (list(found.scores), found.failed) == ([1.0, 0.0, 1.0], {"program": 1}), direct
        assert "KeyError" in found.examples["program"]


def test_scores_of_answers_that_do_not_parse_go_back(
    evaluate: Callable[..., Any], scripted: ScriptedUpstream, served: Served
) -> None:
    """A stored answer gets 0; a run that has no inference of the program gets nothing, and the count says so."""
    scripted.script = mumbling
    before = len(served.rows("SELECT 1 FROM BooleanMetricFeedback WHERE metric_name = 'good' AND NOT value"))
    assert evaluate(record="good", versions=["v2"]).versions[0].recorded == 8
    after = len(served.rows("SELECT 1 FROM BooleanMetricFeedback WHERE metric_name = 'good' AND NOT value"))
    assert after - before == 4  # 3 that do not parse, and 1 that is wrong
    assert evaluate("tales", TOPICS, metric="grades:told", record="good").versions[0].recorded == 5


def test_wrong_questions_are_answered_at_once(evaluate: Callable[..., Any], served: Served, project: Path) -> None:
    """Unknown versions, empty or wrong data, no gateway."""
    for data, options, kind, why in (
        (QUESTIONS, {"versions": ["v7"]}, BundleError, "v1, v2"),
        ([], {}, SettingsError, "no example"),
        ([{"quest": "x"}], {}, SettingsError, "none of the inputs question"),
        (QUESTIONS, {"metric": "grades:nothing"}, MetricError, "nothing"),
        (QUESTIONS, {"record": "good", "direct": True}, SettingsError, "needs the gateway"),
    ):
        with pytest.raises(kind, match=why):
            evaluate(data=data, **options)
    with pytest.raises(GatewayError, match="no gateway answers"):
        t0dspy.evaluate(
            "question",
            QUESTIONS,
            t0dspy.EvaluateOptions(metric="grades:right"),
            configs=served.configs,
            gateway_url="http://127.0.0.1:9",
        )


def test_the_command(
    evaluate: Callable[..., Any], served: Served, project: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table on stdout, or JSON; `--quiet` prints nothing."""
    from t0dspy.cli import main

    (project / "q.jsonl").write_text("\n".join(map(json.dumps, QUESTIONS[4:])) + "\n")
    line = ["t0dspy", "evaluate", "question", "--data=q.jsonl", "--version=v1", "--version=v2", "--metric=grades:right"]
    line += [f"--configs={served.configs}", f"--gateway-url={served.url}"]
    said = []
    for more in ([], ["--json"], ["--quiet"]):
        monkeypatch.setattr("sys.argv", [*line, *more])
        with pytest.raises(SystemExit) as stop:
            main()
        assert stop.value.code == 0
        said.append(capsys.readouterr())
    assert "v2          0.500  [0." in said[0].out
    assert "v2 - v1    +0.000  [-0." in said[0].out
    assert json.loads(said[1].out)["differences"][0]["paired"]["interval"]["mean"] == 0
    assert said[2] == ("", "")


def test_intervals_hold_what_they_say() -> None:
    """Of 200 means of 40 draws, about 95% of the intervals hold the true one; equal scores are not certain."""
    import random

    rng = random.Random(1)
    held = 0
    for _ in range(200):
        interval = mean_interval([float(rng.random() < 0.3) for _ in range(40)])
        held += (interval.low or 0.0) <= 0.3 <= (interval.high or 0.0)
    assert held >= 180
    few = mean_interval([0.5] * 4)
    assert (few.low or 0.0) < 0.4 < 0.6 < (few.high or 0.0)


def test_answers_to_one_user_are_one_group(
    evaluate: Callable[..., Any], project: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tag of the settings says who; eight examples of two users leave the difference open."""
    (project / "t0dspy.toml").write_text(
        '[programs.question]\nprogram = "stories:question"\ncurate = { user_tag = "tenant" }\n'
    )
    lines = [
        {
            "inputs": {"question": each["question"]},
            "outputs": {"answer": each["answer"]},
            "demonstration": True,
            "tags": {"tenant": f"t{number % 2}"},
        }
        for number, each in enumerate(QUESTIONS)
    ]
    (project / "q.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    alone = evaluate(versions=["v1", "v2"])
    found = evaluate(data=project / "q.jsonl", versions=["v1", "v2"])
    assert (alone.groups, found.groups) == (8, 2)
    assert found.differences[0].paired.confidence <= 0.75 < alone.differences[0].paired.confidence
    assert found.versions[0].interval.high > alone.versions[0].interval.high
    assert found.differences[0].paired.groups == 2
