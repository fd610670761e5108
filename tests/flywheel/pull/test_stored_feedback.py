"""Who said what, as a pull reads it from the real gateway's rows; and calls that are tests."""

import json
from typing import Any

from support.production import Production
from support.served import chat
from t0dspy.flywheel.curate.curate import CurateOptions, curate
from t0dspy.flywheel.example import PulledExample
from t0dspy.gateway import STAGE_TAGS

EVERYBODY = CurateOptions(caps=(), limit=None)


def rate(production: Production, inference: Any, metric: str, value: Any, **tags: str) -> None:
    marks = {name.replace("__", "::"): text for name, text in tags.items()}
    production.client.feedback(metric_name=metric, value=value, inference_id=inference.inference_id, tags=marks)


def test_every_raters_latest_word_is_pulled(production: Production) -> None:
    """`t0dspy::by` comes before the feedback's user, which comes before the inference's; one value for each rater."""
    asked = production.infer("question", {"user_id": "ann"}, question="who?")
    production.say(asked, "good", False)
    production.say(asked, "good", True)
    rate(production, asked, "good", True, t0dspy__by="bob", user_id="not bob")
    rate(production, asked, "good", True, user_id="cy")
    rate(production, asked, "good", False, t0dspy__by="mallory")
    rate(production, asked, "comment", "mine", t0dspy__by="mallory")
    found = production.only("question")
    assert [(one.metric, one.value, one.rater) for one in found.feedback] == [
        ("good", True, "ann"),
        ("good", True, "bob"),
        ("good", True, "cy"),
        ("good", False, "mallory"),
        ("comment", "mine", "mallory"),
    ]
    assert found.metrics == {"good": False}  # what was said last, as documented
    (weighed,) = curate([found], EVERYBODY).kept
    assert weighed.metrics == {"good": True}
    assert PulledExample.from_object(json.loads(found.to_line()), "here") == found


def test_a_tag_of_the_users_own_names_the_rater(production: Production) -> None:
    """Before the others, and with another name for the inference's user."""
    asked = production.infer("question", {"account": "ann"}, question="who?")
    production.say(asked, "good", True)
    rate(production, asked, "good", False, reviewer="eve", t0dspy__by="somebody")
    found = production.only("question", rater_tag="reviewer", user_tag="account")
    assert [(one.value, one.rater) for one in found.feedback] == [(True, "ann"), (False, "eve")]
    assert [one.rater for one in production.only("question").feedback] == [None, "somebody"]


def test_a_strangers_correction_is_pulled_and_not_believed(production: Production) -> None:
    """A pull has the latest, curation takes the caller's; what cannot be read hides nothing."""
    asked = production.infer("question", {"user_id": "ann"}, question="who?")
    production.say(asked, "demonstration", chat(answer="right"))
    rate(production, asked, "demonstration", chat(answer="evil"), t0dspy__by="mallory")
    rate(production, asked, "demonstration", "no field at all", t0dspy__by="mallory2")
    found = production.only("question")
    assert found.outputs == {"answer": "evil"}
    assert [one.rater for one in found.feedback] == ["ann", "mallory"]
    (curated,) = curate([found], EVERYBODY).kept
    assert curated.outputs == {"answer": "right"}


def test_a_stage_is_corrected_by_the_user_of_its_run(production: Production) -> None:
    """Feedback on a stage without a rater is that of the program's caller."""
    asked = production.infer("tales", {"user_id": "ann"}, topic="cats")
    stage = production.only("tales").stages[0]
    production.say(stage.inference_id, "demonstration", chat(outline="better"))
    found = production.only("tales")
    assert [one.rater for one in found.stages[0].feedback] == ["ann"]
    (curated,) = curate([found], EVERYBODY).kept
    assert curated.stages[0].outputs == {"outline": "better"}
    assert asked.output.parsed == curated.outputs


def test_tests_are_no_production(production: Production) -> None:
    """Whatever the value of the tag; with `--include test` they are read. Feedback of a test counts for nothing."""
    for value in ("true", "", "smoke"):
        production.infer("question", {"t0dspy::test": value}, question="who?")
    real = production.infer("question", question="who else?")
    rate(production, real, "good", True, t0dspy__test="true")
    found, summary = production.pull("question")
    assert [one.inputs for one in found] == [{"question": "who else?"}]
    assert found[0].feedback == ()
    assert summary.drops == {"test": 3}
    everything, _ = production.pull("question", include=("test",))
    assert len(everything) == 4
    assert [one.metrics for one in everything if one.feedback] == [{"good": True}]


def test_the_tags_of_a_run_are_on_its_stages(production: Production) -> None:
    """Where a caller sends them along, as `t0dspy run` does; a stage of a test is one too."""
    from t0dspy.gateway import HttpGateway
    from t0dspy.runtime.functions import find_function

    call = find_function(production.configs, "tales").call(
        {"topic": "cats"}, tags={"test": production.tag, "team": "é="}
    )
    assert {entry["pointer"] for entry in call.body()["extra_body"]} == {f"/{STAGE_TAGS}"}
    gateway = HttpGateway(production.served.url)
    gateway.infer(call)
    gateway.close()
    found = production.only("tales")
    assert len(found.stages) == 2
    for one in (found, *found.stages):
        assert one.tags.items() >= {"test": production.tag, "team": "é="}.items()
