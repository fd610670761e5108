"""Broken on purpose: whatever is changed in an exported version, verify notices, names the predictor and shows it."""

import re
import shutil
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any

import dspy
import pytest
from pydantic import BaseModel

import t0dspy
from t0dspy import parity
from t0dspy.artifact.exported import ExportedProgram
from t0dspy.errors import ProgramError, WireInequalityError

INPUTS = 30


class State(Enum):
    ON = "on"
    OFF = "off"


class Site(BaseModel):
    zone: int
    name: str
    depth: float = 1.5


class Judge(dspy.Signature):
    """Judge the reading of a pump's sensor."""

    value: float = dspy.InputField()
    state: State = dspy.InputField()
    site: Site = dspy.InputField()
    marks: dict[str, float] = dspy.InputField()
    dry: bool = dspy.InputField()
    note: str | None = dspy.InputField()
    limit: float = dspy.InputField(default=1e-07)
    verdict: str = dspy.OutputField()
    level: float = dspy.OutputField()


class Pump(dspy.Module):
    def __init__(self, predictor: type[dspy.Predict] = dspy.Predict) -> None:
        super().__init__()
        self.judge = predictor(Judge, temperature=0.3, max_tokens=200, stop=["END"])
        site = Site(zone=3, name="north")
        common = {"state": State.ON, "site": site, "marks": {}, "dry": False, "note": None, "limit": 2.0}
        self.judge.demos = [
            {**common, "note": "dust", "value": 0.5, "verdict": "fine", "level": 0.1},
            {**common, "note": "rust", "value": 9.5, "verdict": "high", "level": 0.9},
        ]
        self.tell = dspy.Predict("verdict: str -> letter: str")

    def forward(self, value: float, state: State, site: Site, marks: dict[str, float], dry: bool) -> dspy.Prediction:
        judged = self.judge(value=value, state=state, site=site, marks=marks, dry=dry, note=None)
        told = self.tell(verdict=judged.verdict)
        return dspy.Prediction(letter=told.letter)


def alone() -> dspy.Predict:
    """The judge without Python around it, which plain clients call."""
    judge: dspy.Predict = Pump().judge
    return judge


class Loud(dspy.Predict):
    """Does more with its answers than DSPy's parser."""

    def forward(self, **inputs: Any) -> dspy.Prediction:
        prediction = super().forward(**inputs)
        return dspy.Prediction(verdict=prediction.verdict + "!", level=prediction.level)


class Shifting(dspy.Predict):
    """Writes another prompt than the one that it was exported with."""

    def forward(self, **inputs: Any) -> dspy.Prediction:
        other = self.signature.with_instructions("Judge.")  # type: ignore[union-attr]
        return super().forward(**{**inputs, "signature": other})


USER, SYSTEM, VARIANT = "v1/judge.user.minijinja", "v1/judge.system.minijinja", "v1/variant.toml"
OUTPUT = "schemas/pump__judge.output.json"
JSON_TURNS, JSON_SYSTEM, CHAT_TURNS, CHAT_SYSTEM = "json-turns", "json-system", "chat-turns", "chat-system"

CHANGES = {
    "the exponent of a small float": (JSON_TURNS, USER, "{{ '0' if p[1]|length == 1 }}", ""),
    "a float just below 0.0001": (JSON_TURNS, USER, "{{ d[7:] }}e-05", "{{ d[7:] }}e-5"),
    "the sign of a small float": (JSON_TURNS, USER, "{{ '-' if v < 0 }}", ""),
    "the order of a model's keys": (
        JSON_TURNS,
        USER,
        '"zone": {{ _json(v["zone"]) }}, "name": {{ _json(v["name"]) }}',
        '"name": {{ _json(v["name"]) }}, "zone": {{ _json(v["zone"]) }}',
    ),
    "the separator after a key": (JSON_TURNS, USER, "{{ _json(k) }}: ", "{{ _json(k) }}:"),
    "the separator between pairs": (JSON_TURNS, USER, "{{ ', ' if not loop.last }}", "{{ ',' if not loop.last }}"),
    "how None prints": (CHAT_SYSTEM, USER, "{%- if v is none -%}None", "{%- if v is none -%}null"),
    "how an Enum prints": (JSON_TURNS, USER, "{{ state }}", "State.{{ state|upper }}"),
    "how a bool prints": (JSON_TURNS, USER, "{{ 'True' if dry else 'False' }}", "{{ dry }}"),
    "an optional input's condition": (CHAT_SYSTEM, USER, "{% if note is defined %}", "{% if note %}"),
    "a field's heading": (CHAT_SYSTEM, USER, "[[ ## value ## ]]", "[[ ## Value ## ]]"),
    "the reminder": (CHAT_SYSTEM, USER, "and then ending with", "and ending with"),
    "one character of the system text": (JSON_TURNS, SYSTEM, "Judge the reading", "judge the reading"),
    "an invisible character": (JSON_TURNS, SYSTEM, "Judge the reading", "Judge the\u00a0reading"),
    "the text around folded demos": (CHAT_SYSTEM, SYSTEM, "each output is the response", "each output is a response"),
    "the tags around folded demos": (JSON_SYSTEM, SYSTEM, "</output>\n</example>", "</output></example>"),
    "the end of a demo": (CHAT_TURNS, "v1/judge.demo_1_assistant.minijinja", "## ]]\n\n", "## ]]\n"),
    "a demo's output": (JSON_TURNS, "v1/judge.demo_2_assistant.minijinja", "high", "fine"),
    "an added setting": (CHAT_SYSTEM, VARIANT, "max_tokens = 200", "max_tokens = 200\nseed = 1"),
}
"""What is broken -> (form, file, what stands there, what is put in its place)."""

LONE_USER, LONE_SYSTEM = "v1/user.minijinja", "v1/system.minijinja"

FOR_CLIENTS = {
    "a default inside a model": (CHAT_SYSTEM, LONE_USER, "|default(1.5)", "|default(1.25)"),
    "a default input's text": (CHAT_SYSTEM, LONE_USER, "\n1e-07\n", "\n1e-7\n"),
    "the system text": (JSON_SYSTEM, LONE_SYSTEM, "Judge the reading", "judge the reading"),
    "temperature": (JSON_SYSTEM, VARIANT, "temperature = 0.3", "temperature = 0.3001"),
    "a lost temperature": (CHAT_SYSTEM, VARIANT, "temperature = 0.3\n", ""),
    "max_tokens": (JSON_SYSTEM, VARIANT, "max_tokens = 200", "max_tokens = 201"),
    "stop": (JSON_SYSTEM, VARIANT, 'stop_sequences = ["END"]', 'stop_sequences = ["END", "STOP"]'),
}
"""What only clients without the runtime get wrong, because it sends DSPy's options and defaults with each call."""


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """The directory of configs that hold a program in a form; made once."""
    made: dict[Any, Path] = {}

    def configs(form: str, program: Callable[[], dspy.Module] = Pump) -> Path:
        if (form, program) not in made:
            made[form, program] = tmp_path_factory.mktemp(form)
            adapter, demos = form.split("-")
            told = {"adapter": adapter, "demos": demos, "model": "openai::m", "verify": False}
            t0dspy.export(program(), made[form, program], name="pump", **told)
        return made[form, program]

    return configs


@pytest.mark.parametrize("form", [JSON_TURNS, JSON_SYSTEM, CHAT_TURNS, CHAT_SYSTEM])
def test_unbroken_it_is_equal(form: str, exported: Callable[..., Path]) -> None:
    """Every mismatch below is the mutation's and nothing else's."""
    report = t0dspy.verify("pump", configs=exported(form), program=Pump(), inputs=INPUTS)
    assert report.equal, parity.explain(report, form)


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_is_caught(what: str, exported: Callable[..., Path], tmp_path: Path) -> None:
    """Verify reports the predictor that was broken, only that one, and both texts as a diff."""
    form, path, old, new = CHANGES[what]
    _mutate(exported(form), tmp_path, path, lambda text: text.replace(old, new))
    _assert_caught(tmp_path)


@pytest.mark.parametrize("form", [JSON_SYSTEM, CHAT_SYSTEM])
def test_unbroken_it_is_equal_for_clients(form: str, exported: Callable[..., Path]) -> None:
    """Clients without the runtime are compared too where the gateway answers alone."""
    report = t0dspy.verify("pump", configs=exported(form, alone), program=alone(), inputs=INPUTS)
    assert report.equal, parity.explain(report, form)
    assert report.predictors[0].plain_requests > INPUTS // 2


@pytest.mark.parametrize("what", FOR_CLIENTS)
def test_a_change_for_clients_is_caught(what: str, exported: Callable[..., Path], tmp_path: Path) -> None:
    """What only clients without the runtime would notice is compared as they send it."""
    form, path, old, new = FOR_CLIENTS[what]
    _mutate(exported(form, alone), tmp_path, path, lambda text: text.replace(old, new, 1))
    report = _compared(tmp_path, alone())
    assert not report.equal
    assert {mismatch.kind for _, mismatch in report.mismatches} <= {"plain request", "request", "refused"}
    assert "plain request" in {mismatch.kind for _, mismatch in report.mismatches} or what == "the system text"


def test_another_order_of_folded_demos_is_caught(exported: Callable[..., Path], tmp_path: Path) -> None:
    """The order of demos is part of the prompt."""
    pattern = r"(<example>.*?</example>)\n(<example>.*?</example>)"
    swap = re.compile(pattern, re.DOTALL)
    _mutate(exported(CHAT_SYSTEM), tmp_path, SYSTEM, lambda text: swap.sub(r"\2\n\1", text))
    _assert_caught(tmp_path)


def test_a_lost_folded_demo_is_caught(exported: Callable[..., Path], tmp_path: Path) -> None:
    """A demo that never reaches the system message is missed."""
    lost = re.compile(r"<example>.*?</example>\n", re.DOTALL)
    _mutate(exported(JSON_SYSTEM), tmp_path, SYSTEM, lambda text: lost.sub("", text, count=1))
    _assert_caught(tmp_path)


def test_swapped_demo_turns_are_caught(exported: Callable[..., Path], tmp_path: Path) -> None:
    """Turns that changed places are noticed though each is still there."""
    shutil.copytree(exported(CHAT_TURNS), tmp_path, dirs_exist_ok=True)
    version = tmp_path / "programs" / "pump" / "v1"
    first, second = version / "judge.demo_1_user.minijinja", version / "judge.demo_2_user.minijinja"
    one, other = first.read_bytes(), second.read_bytes()
    first.write_bytes(other)
    second.write_bytes(one)
    _assert_caught(tmp_path)


def test_a_schema_that_refuses_an_input_is_caught(exported: Callable[..., Path], tmp_path: Path) -> None:
    """What DSPy sends and the gateway answers with a 400 is a mismatch, not a skipped input."""
    path = "schemas/pump__judge.input.json"
    _mutate(exported(CHAT_SYSTEM), tmp_path, path, lambda text: text.replace('"on"', '"in"'))
    report = _compared(tmp_path)
    assert {(one.path, mismatch.kind) for one, mismatch in report.mismatches} == {("judge", "refused")}
    assert "judge: " in parity.explain(report, "pump v1")


@pytest.mark.parametrize("path", ["schemas/pump__judge.input.json", OUTPUT])
def test_verify_says_that_a_changed_schema_does_not_fit(
    path: str, exported: Callable[..., Path], tmp_path: Path
) -> None:
    """A schema on disk that is not the program's is named before anything is sent."""
    _mutate(exported(JSON_TURNS), tmp_path, path, lambda text: text.replace('"number"', '"integer"'))
    with pytest.raises(ProgramError, match="'judge'"):
        t0dspy.verify("pump", configs=tmp_path, program=Pump(), inputs=INPUTS)


@pytest.mark.parametrize("form", [JSON_TURNS, CHAT_SYSTEM])
def test_a_predictor_that_does_more_is_equal(form: str, exported: Callable[..., Path]) -> None:
    """DSPy's own classes run on both sides, so that a subclass does what it does."""
    report = t0dspy.verify("pump", configs=exported(form), program=Pump(Loud), inputs=INPUTS)
    assert report.equal, parity.explain(report, form)


def test_a_prompt_that_changes_at_run_time_is_caught(exported: Callable[..., Path]) -> None:
    """The runtime refuses to send it, and verify names the difference."""
    report = t0dspy.verify("pump", configs=exported(CHAT_SYSTEM), program=Pump(Shifting), inputs=INPUTS)
    assert {(one.path, mismatch.kind) for one, mismatch in report.mismatches} == {("judge", "refused")}
    assert "the system message differs" in parity.explain(report, "pump v1")


def test_an_export_that_is_not_equal_leaves_nothing_behind(tmp_path: Path) -> None:
    """A program that the gateway would answer otherwise than DSPy does is not written."""
    with pytest.raises(WireInequalityError, match="judge"):
        t0dspy.export(Pump(Shifting), tmp_path, name="pump", model="openai::m")
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and not path.name.endswith(".lock")]


def _mutate(source: Path, target: Path, path: str, change: Callable[[str], str]) -> None:
    shutil.copytree(source, target, dirs_exist_ok=True)
    file = target / "programs" / "pump" / path
    before = file.read_bytes().decode()
    after = change(before)
    assert after != before, f"{path} does not hold what the mutation changes"
    file.write_bytes(after.encode())


def _compared(configs: Path, program: dspy.Module | None = None) -> parity.ParityReport:
    exported = ExportedProgram.read(configs, "pump")
    return parity.compare(program or Pump(), exported, "v1", inputs=INPUTS)


def _assert_caught(configs: Path) -> None:
    report = _compared(configs)
    assert {one.path for one, _ in report.mismatches} == {"judge"}
    told = parity.explain(report, "pump v1")
    assert "judge: " in told
    if report.mismatches[0][1].kind == "refused":  # a broken template cannot be rendered
        return
    assert "--- DSPy directly\n+++ through the gateway\n" in told
    assert re.search(r"^-(?!--)", told, re.MULTILINE) or re.search(r"^\+(?!\+\+)", told, re.MULTILINE)
