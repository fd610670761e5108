"""The parts of a retrain that need no gateway: answers kept, budgets, what is good, what is sealed, the report."""

import contextlib
import json
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dspy
import pytest
from hypothesis import given
from hypothesis import strategies as st

import t0dspy
from support.looped import words
from support.served import APPS
from t0dspy.artifact.exported import ExportedProgram
from t0dspy.errors import RetrainError, SettingsError, T0dspyError
from t0dspy.flywheel.example import PulledExample
from t0dspy.flywheel.models.answers import Answer, Answers, request_key
from t0dspy.flywheel.models.budget import Budget, Ledger, Price, Stop
from t0dspy.flywheel.optimize.candidates import Sealed, distinct, production_sets, sanitized
from t0dspy.flywheel.retrain.charts import difference_bars, trial_chart
from t0dspy.flywheel.retrain.gather import gather, good_runs, is_good
from t0dspy.flywheel.retrain.report import as_html, prompt_diff
from t0dspy.flywheel.retrain.run_directory import Home, Last, RunDirectory, read_shaped
from t0dspy.flywheel.split.split import SetState
from t0dspy.flywheel.to_dspy import Types, to_demo, to_example
from t0dspy.program.of_version import import_program
from t0dspy.program.types import FieldTypes
from t0dspy.settings import ProgramSettings

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


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=40), st.integers(0, 12))
def test_a_ledger_counts_each_answer_once_and_stops(asked: list[tuple[int, bool]], limit: int) -> None:
    """Kept answers count as fresh ones do, so that a resumed run stops where the first would have."""
    ledger = Ledger({"m": Price(1.0, 2.0)}, Budget(calls=limit))
    counted: set[str] = set()
    for number, fresh in asked:
        key = str(number)
        try:
            if fresh:
                ledger.check("m", 0)
            else:
                ledger.fits(key, 0)
        except Stop:
            assert len(counted) >= limit
            break
        ledger.count(key, "m", (10, 5), fresh=fresh)
        counted.add(key)
        assert ledger.spent.calls == len(counted) <= limit
        assert ledger.spent.cost == pytest.approx(len(counted) * 20 / 1e6)


def test_many_threads_pass_no_limit() -> None:
    """A call is under way until its answer is counted, so that no other slips in between."""
    for _ in range(20):
        ledger, calls = Ledger({}, Budget(calls=25)), iter(range(10**6))

        def ask(ledger: Ledger = ledger, calls: Iterator[int] = calls) -> None:
            with contextlib.suppress(Stop):
                while True:
                    ledger.check("m", 0)
                    time.sleep(0)
                    ledger.count(str(next(calls)), "m", (1, 1), fresh=True)

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert ledger.spent.calls == 25


def test_a_cost_needs_prices() -> None:
    """Of every model that is asked."""
    with pytest.raises(SettingsError, match="prices"):
        Ledger({}, Budget(cost=1.0))
    with pytest.raises(Stop, match="price of 'other'"):
        Ledger({"m": Price(1, 1)}, Budget(cost=1.0)).check("other", 0)


def test_what_an_optimizer_left_behind_stays_stopped() -> None:
    """Its threads may not spend what is put aside for the judge."""
    ledger = Ledger({}, Budget(calls=1))
    ledger.check("m", ledger.part)
    ledger.count("k", "m", (1, 1), fresh=True)
    for ask in (lambda part: ledger.check("m", part), lambda part: ledger.fits("other", part)):
        with pytest.raises(Stop):
            ask(0)
    ledger.allow(Budget(calls=2))
    with pytest.raises(Stop):
        ledger.check("m", 0)
    ledger.check("m", ledger.part)


def pulled(**options: Any) -> PulledExample:
    return PulledExample(**{"inputs": {"q": "?"}, "outputs": {"a": "!"}, "model_outputs": {"a": "!"}, **options})


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
    """A number is good only against a floor; silence is no praise."""
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
    """A model's own answer is no label; feedback and comments are in no field that a prompt could show."""
    types = Types(FieldTypes({"q": str}, {"a": int}))
    told = to_example(pulled(outputs={"a": "7"}, demonstration=True, comments=("well",), metrics={"ok": True}), types)
    assert told.a == 7
    assert set(told.keys()) == {"q", "a"}
    assert "well" not in repr(told)
    assert told["dspy_comments"] == ("well",)
    assert set(to_example(pulled(model_outputs=None), types).keys()) == {"q"}
    with pytest.raises(SettingsError, match="field 'a'"):
        to_example(pulled(outputs={"a": "many"}, model_outputs=None, demonstration=True), types)


class Two(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.plan = dspy.ChainOfThought("q -> steps: list[str]")
        self.write = dspy.Predict("steps: list[str] -> a")


def test_production_demos_go_to_their_own_predictor() -> None:
    """Typed and complete; a stage that lacks a field is none."""
    program = Two()
    stages = (
        PulledExample({"q": "?"}, {"reasoning": "r", "steps": ["1"]}, None, predictor="plan.predict"),
        PulledExample({"steps": ["1"]}, {"a": "!"}, None, predictor="write"),
    )
    lacking = (PulledExample({"q": "?"}, {"steps": ["1"]}, None, predictor="plan.predict"),)
    sets = production_sets([pulled(stages=stages), pulled(stages=lacking)], program, 4)
    assert [dict(demo) for demo in sets["plan.predict"][0]] == [
        {"augmented": True, "q": "?", "reasoning": "r", "steps": ["1"]}
    ]
    assert [dict(demo) for demo in sets["write"][0]] == [{"augmented": True, "steps": ["1"], "a": "!"}]
    assert to_demo(pulled(outputs=None), program.write) is None


def test_sealed_items_are_known_in_any_order_of_fields() -> None:
    """Nested objects too; a demo that lacks one of the inputs shows no item."""
    sealed = Sealed([{"q": {"x": 1, "y": 2}, "n": 1}])
    assert sealed.holds({"n": 1, "q": {"y": 2, "x": 1}, "a": "!"})
    assert not sealed.holds({"q": {"x": 1, "y": 2}})
    assert not sealed.holds({"n": 2, "q": {"x": 1, "y": 2}})
    demos = [dspy.Example(q="same", n=3), dspy.Example(q={"x": 1, "y": 2}, n=1)]
    assert sealed.without(demos) == demos[:1]


def test_demos_hold_the_fields_of_their_predictor_alone() -> None:
    """What an example holds besides never reaches a state file; what DSPy would not show is left out."""
    signature = dspy.Signature("q -> a")
    demos = [
        {"q": "1", "a": "2", "secret": "x", "dspy_feedback": {}},
        {"q": "only"},
        {"q": "3", "a": "4", "augmented": True},
    ]
    found = sanitized(demos, signature)
    assert [one.toDict() for one in found] == [{"q": "1", "a": "2"}, {"q": "3", "a": "4", "augmented": True}]
    assert len(distinct([found, found, found[:1]])) == 2


def test_a_damaged_state_file_says_so(tmp_path: Path) -> None:
    """And what to do."""
    (tmp_path / "last.json").write_text("{")
    with pytest.raises(RetrainError, match="start anew"):
        read_shaped(tmp_path / "last.json", Last)
    home = Home(tmp_path, "n")
    with home.locked(), pytest.raises(RetrainError, match="another retrain"), Home(tmp_path, "n").locked():
        pass


def test_damaged_examples_of_a_run_are_named(tmp_path: Path) -> None:
    """A run is never resumed with half of its data."""
    run = RunDirectory(tmp_path)
    examples = [pulled(), pulled(inputs={"q": "\u2028 é"})]
    run.write_examples("pulled.jsonl", examples)
    assert [one.to_line() for one in run.read_examples("pulled.jsonl") or ()] == [one.to_line() for one in examples]
    assert run.read_examples("nothing.jsonl") is None
    for text in ("{", "[]", '{"inputs": 3}', '"x"'):
        (tmp_path / "pulled.jsonl").write_text(text)
        with pytest.raises(T0dspyError, match=r"pulled\.jsonl"):
            run.read_examples("pulled.jsonl")


def test_one_program_holds_up_no_other(project: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes wrong with each is said, and the exit code tells that something did."""
    from t0dspy.cli import main

    table = 'program = "json:{name}"\nmetric = "t0dspy:exact_match"\ntask_model = "openai/x"\n'
    (project / "t0dspy.toml").write_text("".join(f"[programs.{name}]\n{table}".format(name=name) for name in "ab"))
    monkeypatch.setattr("sys.argv", ["t0dspy", "retrain", "--quiet"])
    with pytest.raises(SystemExit) as stop:
        main()
    said = capsys.readouterr()
    assert stop.value.code == 1
    assert "t0dspy: a: no exported program 'a'" in said.err
    assert "t0dspy: b: no exported program 'b'" in said.err
    assert "2 of 2 programs" in said.err
    assert said.out == ""


REPORT: dict[str, Any] = {
    "name": "<script>alert(1)</script>",
    "outcome": "kept",
    "reason": "no <b>better</b>",
    "version": None,
    "incumbent": "v1",
    "form": {"adapter": "chat", "demos": "turns"},
    "window": ["2026-01-01", "2026-01-02"],
    "run": "r",
    "resumed": True,
    "seconds": 1.0,
    "metric": "m",
    "models": {"task": "openai/x"},
    "data": {"pulled": 1, "feedback": 1, "train": 1, "validation": 1, "holdout": 1, "origin": {"a": 1}, "dropped": {}},
    "agreement": None,
    "spent": {"calls": 1, "cost": None, "by_model": {"openai/x": 1}, "input_tokens": 1, "output_tokens": 1},
    "optimized": None,
    "judgement": None,
    "pairs": [],
    "prompts": {
        "self": {
            "before": {"instructions": "{{ 7 * 7 }}", "demos": []},
            "after": {"instructions": "</pre>", "demos": []},
        }
    },
    "shares": None,
    "notes": ["{% raw %}"],
}


def test_the_page_shows_users_text_as_text() -> None:
    """No prompt, name or note is markup or a template."""
    page = as_html(REPORT)
    assert "<script" not in page
    assert "{{ 7 * 7 }}" in page
    assert "49" not in page.partition("<body>")[2]
    assert "&lt;/pre&gt;" in page
    assert not re.search(r"https?://", page)


def test_a_diff_of_prompts_tells_what_changed() -> None:
    """Instructions line by line, demos field by field."""
    before = {"instructions": "a\nb", "demos": [{"q": "1", "a": "2"}]}
    after = {"instructions": "a\nc", "demos": [{"q": "1", "a": [3]}]}
    lines = prompt_diff(before, after)
    assert ("cut", "b") in lines
    assert ("add", "c") in lines
    assert ("add", "  a: [3]") in lines
    assert prompt_diff(before, before) == []


@given(st.lists(st.tuples(st.floats(-2, 2), st.booleans()), min_size=1, max_size=30))
def test_charts_stay_within_their_frame(scores: list[tuple[float, bool]]) -> None:
    """Whatever the scores, negative ones too."""
    trials = [
        {"score": score, "full": full or at == 0, "runs": 3, "calls": at} for at, (score, full) in enumerate(scores)
    ]
    chart = trial_chart(trials)
    assert all(0 <= dot.x <= 640 and 0 <= dot.y <= 200 for dot in chart.dots)
    assert 0 <= chart.incumbent <= 200
    bars = difference_bars([(score, score + 1 if better else score) for score, better in scores])
    assert bars is not None
    assert bars.most <= len(scores)
    assert json.dumps([list(bar) for bar in bars.bars])


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
