"""Broken on purpose: whatever keeps a whole program from running as in DSPy, the proof of run equality notices."""

import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import dspy
import pytest

import t0dspy
from t0dspy.artifact.exported import ExportedProgram
from t0dspy.errors import RunInequalityError
from t0dspy.parity.prove_runs import prove_runs
from t0dspy.parity.run_equality import EXPORT_KINDS, compare_runs
from t0dspy.parity.run_report import RunReport, explain_runs
from t0dspy.parity.runs import Plain, bench
from t0dspy.parity.scripts import KINDS
from t0dspy.parity.served import deployed
from t0dspy.transport import answer, exchange, hooks, request

EXAMPLES = [{"topic": "rain", "times": 2}]
VARIANT, DEMO = "v1/variant.toml", "v1/draft.demo_1_assistant.minijinja"


class Letter(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.big = dspy.LM("openai/gpt-4o", temperature=0.7)
        self.draft = dspy.Predict("topic: str -> draft: str")
        self.draft.demos = [dspy.Example(topic="t", draft="d")]
        self.polish = dspy.Predict("draft: str, tone: str -> letter: str", logit_bias={"5": 1})

    def forward(self, topic: str, times: int = 1) -> dspy.Prediction:
        with dspy.context(lm=self.big):
            text = self.draft(topic=topic).draft
        for _ in range(min(times, 2)):
            text = self.polish(draft=text, tone="warm").letter
        return dspy.Prediction(letter=text)


@pytest.fixture(autouse=True)
def _an_lm() -> Iterator[None]:
    with dspy.context(lm=dspy.LM("openai/gpt-4o-mini", temperature=0.3)):
        yield


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configs with the program; made once."""
    configs = tmp_path_factory.mktemp("configs")
    with dspy.context(lm=dspy.LM("openai/gpt-4o-mini", temperature=0.3)):
        result = t0dspy.export(Letter(), configs, name="letter", verify=False)
    assert result.written
    return configs


def proof(configs: Path) -> RunReport:
    program, exported = Letter(), ExportedProgram.read(configs, "letter")
    with bench(program) as runs, deployed(program, exported, "v1", runs.upstream_url) as served:
        return compare_runs(runs, Plain(), served, EXAMPLES)


def test_unbroken_it_is_equal(exported: Path) -> None:
    """Every difference below is the mutation's and nothing else's."""
    report = proof(exported)
    assert report.equal, explain_runs(report, "letter v1")
    assert not report.not_provable
    assert report.runs == 2 * len(KINDS) - 1


def test_a_full_proof_generates_inputs(exported: Path) -> None:
    """Inputs that fit their types, and others, each with every kind of answer."""
    report = prove_runs(Letter(), ExportedProgram.read(exported, "letter"), "v1", full=True)
    assert report.equal, explain_runs(report, "letter v1")
    assert report.runs > 20 * len(KINDS)


FILES: Mapping[str, tuple[str, Callable[[str], str]]] = {
    "the fallback's variant": (VARIANT, lambda text: _without_variant(text, "letter__polish.variants.v1_json")),
    "the variant of an LM": (VARIANT, lambda text: _without_variant(text, "letter__draft.variants.v1__gpt_4o")),
    "the model of an LM": (VARIANT, lambda text: text.replace('"openai::gpt-4o"', '"openai::gpt-4o-mini"')),
    "a demo": (DEMO, lambda text: text.replace("\nd\n", "\ne\n")),
    "a demo's template": (VARIANT, lambda text: text.replace("templates.demo_1_user", "templates.demo_9_user")),
    "an LM in the manifest": ("manifest.json", lambda text: _without_lm(text, "gpt_4o")),
    "a field of the input": ("v1/polish.user.minijinja", lambda text: text.replace("[[ ## tone ## ]]", "")),
    "the fallback's text": ("v1/polish.json.system.minijinja", lambda text: text.replace("JSON", "XML")),
}
"""What is broken -> the file, and its change."""


@pytest.mark.parametrize("subject", FILES)
def test_a_changed_file_is_caught(subject: str, exported: Path, tmp_path: Path) -> None:
    """The proof fails, and its message has what differs."""
    path, change = FILES[subject]
    shutil.copytree(exported, tmp_path, dirs_exist_ok=True)
    file = tmp_path / "programs" / "letter" / path
    before = file.read_text(encoding="utf-8")
    file.write_text(change(before), encoding="utf-8")
    assert file.read_text(encoding="utf-8") != before
    report = proof(tmp_path)
    assert not report.equal
    assert explain_runs(report, "letter v1").startswith("letter v1: ")


def _always_stop(*args: Any, **kwargs: Any) -> Any:
    read = answer.read_answer(*args, **kwargs)
    raw = re.sub(rb'"finish_reason": ?"length"', b'"finish_reason": "stop"', read.raw)
    return answer.Answer(read.status, raw)


def _without_bias(options: Mapping[str, Any], written: Any) -> Any:
    return request_exact({key: value for key, value in options.items() if key != "logit_bias"}, written)


request_exact = request._exact
CODE: Mapping[str, tuple[Any, str, Any]] = {
    "why an answer ended": (exchange, "read_answer", _always_stop),
    "a key of extra_body": (request, "_exact", _without_bias),
    "the provider's status": (answer, "_provider_status", lambda message, data: 500),
    "the JSON fallback": (
        hooks,
        "settings_for",
        lambda served: {"adapter": dspy.ChatAdapter(use_json_adapter_fallback=False)},
    ),
}
"""What the runtime loses -> the module, the name in it, and its replacement."""


@pytest.mark.parametrize("subject", CODE)
def test_a_loss_at_run_time_is_caught(subject: str, exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proof runs the real transport, so that it notices what the transport loses."""
    monkeypatch.setattr(*CODE[subject])
    report = proof(exported)
    assert report.mismatches, subject


def test_an_export_that_is_not_equal_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit code is 4, and no file is written."""
    monkeypatch.setattr(*CODE["why an answer ended"])  # which the proof of single requests cannot notice
    with pytest.raises(RunInequalityError, match="letter v1: ") as stop:
        t0dspy.export(Letter(), tmp_path, name="letter", examples=EXAMPLES)
    assert stop.value.exit_code == 4
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and not path.name.endswith(".lock")]


def test_an_export_runs_the_program_on_examples_and_demos_only(tmp_path: Path) -> None:
    """Without them the report says why nothing was run; `run_proof` turns the runs off."""
    program = dspy.Predict("topic: str -> draft: str")

    def runs(name: str, **options: Any) -> RunReport:
        exported = t0dspy.export(program, tmp_path / name, name="letter", **options)
        assert exported.runs is not None
        return exported.runs

    assert "pass --examples" in str(runs("nothing").skipped)
    assert runs("examples", examples=EXAMPLES).runs == len(EXPORT_KINDS)
    program.demos = [dspy.Example(topic="t", draft="d"), dspy.Example(draft="d")]
    assert runs("demos").runs == len(EXPORT_KINDS)
    assert runs("off", run_proof=False).skipped == "run_proof is off"


def _without_variant(text: str, name: str) -> str:
    return re.sub(rf"\[functions\.{re.escape(name)}\]\n(?:[^\[\n].*\n)*", "", text)


def _without_lm(text: str, name: str) -> str:
    manifest = json.loads(text)
    del manifest["versions"]["v1"]["lms"][name]
    return json.dumps(manifest)
