"""What counts as a good run and as a label."""

from pathlib import Path

import pytest

import t0dspy
from support.looped import words
from support.production import pulled
from support.served import APPS
from t0dspy.artifact.exported import ExportedProgram
from t0dspy.errors import SettingsError
from t0dspy.flywheel.example import PulledExample
from t0dspy.flywheel.retrain.gather import gather, good_runs, is_good
from t0dspy.flywheel.split.split import SetState
from t0dspy.flywheel.to_dspy import Types, to_example
from t0dspy.program.of_version import import_program
from t0dspy.program.types import FieldTypes
from t0dspy.settings import ProgramSettings


@pytest.mark.parametrize(
    ("one", "floor", "good"),
    [
        (pulled(demonstration=True), {}, True),
        (pulled(demonstration=True, metrics={"ok": False}), {"ok": 1}, True),
        (pulled(), {}, False),
        (pulled(metrics={"ok": True}), {}, True),
        (pulled(metrics={"ok": True, "kind": False}), {}, False),
        (pulled(metrics={"stars": 5.0}), {}, False),
        (pulled(metrics={"stars": 5.0}), {"stars": 4}, True),
        (pulled(metrics={"stars": 3.0}), {"stars": 4}, False),
        (pulled(metrics={"kind": True}), {"stars": 4}, False),
        (pulled(metrics={"ok": True}, outputs=None), {}, False),
    ],
)
def test_good_is_what_people_found_good(one: PulledExample, floor: dict[str, float], good: bool) -> None:
    """A number is good only if a floor is set; an example without feedback is not good."""
    assert is_good(one, floor) is good


def test_a_corrected_run_teaches_no_stage() -> None:
    """Its stages led to what people put right."""
    stage = pulled(predictor="plan")
    runs = [
        pulled(inference_id="1", timestamp="2026-01-01", metrics={"ok": True}, stages=(stage,)),
        pulled(inference_id="2", timestamp="2026-01-02", demonstration=True, stages=(stage,)),
        pulled(inference_id="3", timestamp="2026-01-03", demonstration=True),
    ]
    assert [one.inference_id for one in good_runs(runs, {})] == ["3", "1"]


def test_labels_are_peoples_and_hidden_keys_stay_hidden() -> None:
    """A model's own answer is not a label; no field that a prompt could show holds feedback or comments."""
    types = Types(FieldTypes({"q": str}, {"a": int}))
    told = to_example(pulled(outputs={"a": "7"}, demonstration=True, comments=("well",), metrics={"ok": True}), types)
    assert told.a == 7
    assert set(told.keys()) == {"q", "a"}
    assert "well" not in repr(told)
    assert told["dspy_comments"] == ("well",)
    assert set(to_example(pulled(model_outputs=None), types).keys()) == {"q"}
    with pytest.raises(SettingsError, match="field 'a'"):
        to_example(pulled(outputs={"a": "many"}, model_outputs=None, demonstration=True), types)


def test_near_duplicates_are_what_the_settings_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Curating and dividing go by the same likeness: what is kept as another input may be in another set."""
    monkeypatch.syspath_prepend(str(APPS))
    t0dspy.export("shouting:shout", tmp_path, name="shout", model="openai::m", adapter="chat", verify=False)
    exported = ExportedProgram.read(tmp_path, "shout")
    questions = [f"{text} {letter}" for text in words(40) for letter in "ab"]
    pulled = [PulledExample({"question": one}, {"answer": one.upper()}, None) for one in questions]

    def divided(**curate: float) -> list[set[str]]:
        found = gather(
            pulled,
            exported,
            import_program(exported),
            "v1",
            ProgramSettings("shouting:shout", curate=curate),
            tmp_path,
            SetState(),
        )
        sets = [found.train, found.validation, found.holdout]
        return [{str(example.inputs["question"])[:-2] for example in one} for one in sets]

    train, validation, holdout = divided(similarity=1.0)
    assert train & (validation | holdout)
    train, validation, holdout = divided()
    assert not train & (validation | holdout)
