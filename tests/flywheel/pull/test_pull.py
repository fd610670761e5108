"""A pull brings back what went through the gateway and what people said of it."""

import json
from typing import Any

import pytest
from tensorzero import TensorZeroError

from support.production import LONG, Production, now
from support.served import chat, system
from support.stack import wait_until
from t0dspy.flywheel.example import PulledExample
from t0dspy.gateway import HttpGateway
from t0dspy.runtime.feedback import give_feedback
from t0dspy.testing import RecordedRequest, Reply, ScriptedUpstream
from t0dspy.warehouse.client import Warehouse


def demonstrate(production: Production, id: str, value: str) -> None:
    """`t0dspy feedback ID demonstration VALUE`."""
    gateway = HttpGateway(production.served.url)
    with Warehouse(production.clickhouse_url) as warehouse:
        give_feedback(id, "demonstration", value, configs=production.configs, gateway=gateway, warehouse=warehouse)
    gateway.close()


def test_a_program_with_its_stages(production: Production) -> None:
    """One example, its origin, and an example for each stage of the run, whose metrics are its own."""
    said = production.infer("tales", {"user": "é'\"\\"}, topic="cats")
    production.say(said, "good", True)
    production.say(said, "score", 0.8, episode=True)
    found = production.only("tales")
    assert (found.inputs, found.outputs) == ({"topic": "cats"}, said.output.parsed)
    assert found.model_outputs == found.outputs
    assert found.metrics == {"good": True, "score": 0.8}
    assert (found.comments, found.demonstration) == ((), False)
    assert (found.inference_id, found.episode_id) == (str(said.inference_id), str(said.episode_id))
    assert found.variant == said.variant_name
    assert found.tags == {"test": production.tag, "user": "é'\"\\"}
    plan, write = found.stages
    assert [plan.predictor, write.predictor] == ["plan", "write"]
    assert plan.outputs == {"outline": write.inputs["outline"]}
    assert write.outputs == found.outputs
    assert {plan.variant, write.variant} == {found.variant}
    assert plan.episode_id == write.episode_id != found.episode_id
    assert (plan.metrics, plan.stages) == ({}, ())


def test_the_origin_is_what_the_gateway_stored(production: Production) -> None:
    """Time and config are those of the row; `config_snapshot` is what `/status` said."""
    before = now()
    said = production.infer("question", question="who?")
    found = production.only("question")
    assert before.isoformat() < str(found.timestamp).replace("Z", "+00:00") < now().isoformat()
    assert found.config_snapshot == production.served.status()["config_hash"]
    time = "formatDateTime(timestamp, '%Y-%m-%dT%H:%i:%S', 'UTC')"
    ((stored,),) = production.served.rows(f"SELECT {time} FROM ChatInference WHERE id = '{said.inference_id}'")
    assert str(found.timestamp)[:19] == stored


@pytest.mark.parametrize("name", ["question", "asker"])
def test_single_predictors(production: Production, name: str) -> None:
    """Served by the gateway alone there is no stage; under `turns` there is one, `self`."""
    production.infer(name, question="who?")
    found = production.only(name)
    assert found.outputs == {"answer": "answer to who?"}
    assert [one.predictor for one in found.stages] == ([] if name == "question" else ["self"])
    assert all(one.outputs == found.outputs for one in found.stages)


def test_the_latest_value_counts(production: Production) -> None:
    """Also of two in the same second; the same feedback twice is one; every comment counts, in order."""
    said = production.infer("question", question="who?")
    for value in (True, False, True, False, False):
        production.say(said, "good", value)
    for value in (0.25, 1e-7):
        production.say(said, "score", value, episode=True)
    for text in ('first "é" \\', "second\nline", "second\nline"):
        production.say(said, "comment", text)
    found = production.only("question")
    assert found.metrics == {"good": False, "score": 1e-7}
    assert list(found.comments) == ['first "é" \\', "second\nline", "second\nline"]


def test_an_episode_speaks_for_all_its_inferences(production: Production) -> None:
    one = production.infer("question", question="who?")
    production.infer("question", options={"episode_id": str(one.episode_id)}, question="and who?")
    production.say(one, "score", 0.5, episode=True)
    found, _ = production.pull("question")
    assert [each.metrics for each in found] == [{"score": 0.5}] * 2


def test_a_demonstration_beats_the_model(production: Production, scripted: ScriptedUpstream) -> None:
    """The latest one, whatever the ratings say; what nobody gave is no gold; the model's own stays beside it."""
    scripted.script = '{"reasoning": "because", "answer": "no"}'
    said = production.infer("thinker", question="ok?")
    production.say(said, "good", True)
    production.say(said, "demonstration", {"reasoning": "r", "answer": "no"})
    demonstrate(production, str(said.inference_id), '{"answer": "yes"}')
    found = production.only("thinker")
    assert (found.outputs, found.demonstration) == ({"answer": "yes"}, True)
    assert found.model_outputs == {"reasoning": "because", "answer": "no"}
    assert found.metrics == {"good": True}


def test_demonstrations_in_chat_text(production: Production) -> None:
    """Fields are read by DSPy's parser; one that it cannot read leaves the inference out."""
    read, unread = (production.infer("question", question="who?") for _ in range(2))
    demonstrate(production, str(read.inference_id), '{"answer": "me"}')
    demonstrate(production, str(unread.inference_id), "plain words")
    (found,), summary = production.pull("question")
    assert (found.outputs, found.demonstration) == ({"answer": "me"}, True)
    assert summary.drops == {"unread_demonstration": 1}


def test_feedback_on_a_stage_is_the_stages(production: Production) -> None:
    production.infer("tales", topic="cats")
    plan, _ = production.only("tales").stages
    production.say(str(plan.inference_id), "good", False)
    production.say(str(plan.inference_id), "comment", "thin")
    demonstrate(production, str(plan.inference_id), '{"outline": "a better one"}')
    found = production.only("tales")
    assert (found.metrics, found.demonstration) == ({}, False)
    plan, write = found.stages
    assert (plan.metrics, list(plan.comments)) == ({"good": False}, ["thin"])
    assert (plan.outputs, plan.demonstration) == ({"outline": "a better one"}, True)
    assert (write.metrics, write.demonstration) == ({}, False)


def test_a_stage_that_was_asked_again_for_json(production: Production, scripted: ScriptedUpstream) -> None:
    """DSPy's second call belongs to the version, and its answer is read as JSON; the first answer does not parse."""

    def prose_first(request: RecordedRequest) -> str:
        asks_for_json = "JSON object" in request.body["messages"][-1]["content"]
        if "`outline` (str)" in system(request) and "[[ ## topic ## ]]" in request.body["messages"][-1]["content"]:
            return '{"outline": "three parts"}' if asks_for_json else "I think three parts."
        return chat(text="a tale")

    scripted.script = prose_first
    production.infer("tales", topic="cats")
    (found,), summary = production.pull("tales")
    plan, write = found.stages
    assert (plan.predictor, plan.inputs, plan.outputs) == ("plan", {"topic": "cats"}, {"outline": "three parts"})
    assert plan.variant == write.variant == found.variant
    assert summary.drops == {"stage_unread_answer": 1}


def test_a_deployed_call_of_a_function_without_python(production: Production) -> None:
    """Our runtime's variants count for their version, and a text value is pulled as the value behind it."""
    text = {"t0dspy::text": "who?", "t0dspy::value": "who?"}
    production.infer("question", options={"variant_name": "v1__main"}, question=text)
    (found,), _ = production.pull("question", versions=("v1",), include=("pinned",))
    assert (found.variant, found.inputs) == ("v1", {"question": "who?"})


def test_a_streamed_run(production: Production) -> None:
    """Its stages are found by the first chunk."""
    for chunk in production.infer("tales", options={"stream": True}, topic="cats"):
        assert chunk
    assert len(production.only("tales").stages) == 2


def test_a_cached_run(production: Production) -> None:
    """It is an inference like any other, but its stages ran once and count once."""
    asked = f"cached {production.tag}"
    options: dict[str, Any] = {"cache_options": {"enabled": "on"}}
    options["episode_id"] = production.infer("tales", options=options, topic=asked).episode_id  # and so the version
    wait_until(production.is_cached)
    production.infer("tales", options=options, topic=asked)
    found, summary = production.pull("tales")
    assert [len(one.stages) for one in found] == [2, 0]
    assert summary.drops == {"stage_cached": 1}


def test_a_failed_run(production: Production) -> None:
    """It leaves stages without a program's inference: they are counted."""
    before = production.pull("naughty", tags={})[1].drops["stage_alone"]
    with pytest.raises(TensorZeroError, match="502"):
        production.infer("naughty", topic="raise")
    assert production.pull("naughty", tags={})[1].drops["stage_alone"] == before + 1
    found, summary = production.pull("naughty")  # whose tags nobody knows
    assert (found, summary.drops) == ([], {})


def test_answers_are_read_as_dspy_reads_them(production: Production, scripted: ScriptedUpstream) -> None:
    """What the gateway could not parse but DSPy can is kept; what neither can is counted, unless it was corrected."""
    answers = ['```json\n{"reasoning": "r", "answer": "no",}\n```', '{"reasoning": "r", "answer": "maybe"}', "nonsense"]
    said: list[Any] = []
    for answer in [*answers, "nonsense"]:
        scripted.script = answer
        said.append(production.infer("thinker", question="ok?"))
    production.say(said[3], "demonstration", {"reasoning": "r", "answer": "yes"})
    assert [one.output.parsed for one in said] == [None] * 4
    (fenced, corrected), summary = production.pull("thinker")
    assert fenced.outputs == {"reasoning": "r", "answer": "no"}
    assert (corrected.outputs, corrected.model_outputs) == ({"reasoning": "r", "answer": "yes"}, None)
    assert summary.drops == {"unread_answer": 2}
    assert (summary.rows_read, summary.examples) == (4, 2)


def test_what_is_no_production(production: Production) -> None:
    """Pinned, internal and evaluation rows stay in the database, counted, unless asked for; dry runs leave no row."""
    production.infer("question", options={"variant_name": "v1"}, question="pinned")
    production.infer("question", options={"dryrun": True}, question="dry")
    marks = {"tensorzero::internal": "true"}
    production.infer("question", marks, options={"internal": True}, question="internal")
    marks["tensorzero::evaluation_run_id"] = "0199a5b0-0000-7000-8000-000000000000"
    production.infer("question", marks, options={"internal": True, "variant_name": "v1"}, question="evaluation")
    found, summary = production.pull("question")
    assert (found, summary.rows_read) == ([], 0)
    assert summary.drops == {"pinned": 1, "internal": 1, "evaluation": 1}
    for kind in ("pinned", "internal", "evaluation"):
        (one,), _ = production.pull("question", include=[kind])
        assert one.inputs == {"question": kind}
    assert len(production.pull("question", include=["pinned", "internal", "evaluation"])[0]) == 3


def test_calls_that_are_none_of_fields(production: Production, scripted: ScriptedUpstream) -> None:
    """An input that went around the template is counted."""
    scripted.script = chat(answer="what?")
    content = [{"type": "raw_text", "value": "just words"}]
    production.client.inference(
        function_name="question",
        input={"messages": [{"role": "user", "content": content}]},  # type: ignore[arg-type]
        tags={"test": production.tag},
    )
    found, summary = production.pull("question")
    assert (found, summary.drops) == ([], {"misfit": 1})


def test_filters(production: Production) -> None:
    """By version, by tags, and by the latest value of metrics, on the inference or its episode."""
    failed = production.infer("tales", {"user": "a"}, topic="1")
    fine = production.infer("tales", {"user": "b"}, topic="2")
    production.infer("tales", {"user": "b"}, topic="3")
    production.say(failed, "good", True)
    production.say(failed, "good", False)
    production.say(fine, "good", False)
    production.say(fine, "good", True)
    production.say(fine, "score", 0.1, episode=True)

    def topics(**options: Any) -> list[str]:
        return [one.inputs["topic"] for one in production.pull("tales", **options)[0]]

    assert topics(metrics={"good": False}) == ["1"]
    assert topics(metrics={"good": True}) == ["2"]
    assert topics(metrics={"good": True, "score": 0.1}) == ["2"]
    assert topics(metrics={"good": False, "score": 0.1}) == []
    assert topics(tags={"test": production.tag, "user": "b"}) == ["2", "3"]
    assert topics(tags={"test": production.tag, "user": ""}) == []
    by_version = [topics(versions=[version]) for version in ("v1", "v2")]
    assert sorted([*by_version[0], *by_version[1]]) == topics(versions=["v1", "v2"]) == ["1", "2", "3"]
    assert all(one.variant == "v1" for one in production.pull("tales", versions=["v1"])[0])


def test_limit_samples_evenly(production: Production) -> None:
    """Every so many-th in order of time; the same ones each time."""
    for number in range(10):
        production.infer("question", question=str(number))
    for limit, expected in ((1, "9"), (3, "369"), (5, "13579"), (10, "0123456789"), (99, "0123456789")):
        found, summary = production.pull("question", limit=limit)
        assert "".join(one.inputs["question"] for one in found) == expected
        assert summary.rows_read == min(limit, 10)


def test_twice_the_same_lines(production: Production) -> None:
    """And each is a line of JSON that reads back as what it was."""
    for number in range(3):
        production.say(production.infer("tales", topic=str(number)), "good", True)
    until = now()
    first, second = ([one.to_line() for one in production.pull("tales", window=LONG, until=until)[0]] for _ in range(2))
    assert first == second
    assert len(first) == 3
    for line in first:
        value = json.loads(line)
        assert list(value) == [
            *("inputs", "outputs", "model_outputs", "metrics", "comments", "demonstration", "inference_id"),
            *("episode_id", "variant", "timestamp", "config_snapshot", "tags", "feedback", "stages"),
        ]
        assert PulledExample.from_object(value, "here").to_line() == line


def test_large_outputs(production: Production, scripted: ScriptedUpstream) -> None:
    """10 MB come back whole, in portions that memory holds."""
    text = "é日" * 2_500_000
    scripted.script = chat(answer=text)
    for _ in range(2):
        production.infer("question", question="long?")
    found, _ = production.pull("question")
    assert [one.outputs == {"answer": text} for one in found] == [True, True]


def test_fallbacks(production: Production, scripted: ScriptedUpstream) -> None:
    """Where another version stood in for the one that the episode was meant for, a comparison can leave it out."""
    usual = scripted.script

    def new_fails(request: RecordedRequest) -> str | Reply:
        assert callable(usual)
        return Reply("no", status=400) if "NEW" in str(request.body) else usual(request)

    for number in range(4):
        production.infer("tales", topic=str(number))
    scripted.script = new_fails
    meant_for_v1 = 0
    while True:  # at most one in 2^n goes on after n
        production.infer("tales", topic="again")
        found, summary = production.pull("tales", fallbacks=False)
        if summary.drops["fallback"]:
            break
        meant_for_v1 += 1
    assert len(found) == 4 + meant_for_v1
    assert len(production.pull("tales")[0]) == 5 + meant_for_v1
