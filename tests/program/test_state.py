"""A saved state on a live program: what is taken, what is dropped and named, what is refused."""

import copy
import json
import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dspy
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.rendering import MODEL, formatted, tree_of
from support.strategies import PURE, anything
from t0dspy.compiler.adapters import served_adapter
from t0dspy.compiler.compile import compile_program
from t0dspy.errors import CompileError, StateError
from t0dspy.model import PromptForm
from t0dspy.program.state import read_state, with_state

CANARY = "sk-canary-1234567890"
FORM = PromptForm("chat", "turns")


class Answer(pydantic.BaseModel):
    text: str
    score: float = 0.5


class Two(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.plan = dspy.Predict("question -> steps: list[str]")
        self.write = dspy.ChainOfThought("question, steps: list[str] -> answer")

    def forward(self, question: str) -> Any:
        return self.write(question=question, steps=self.plan(question=question).steps)


class Held(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.steps = [dspy.Predict("a -> b"), dspy.ChainOfThought("b -> c: Literal['x', 'y']")]
        self.by_name = {"k": dspy.Predict("a: int | None -> b: float")}
        self.pair = (
            dspy.Predict(dspy.make_signature({"q": (str, dspy.InputField()), "a": (Answer, dspy.OutputField())})),
        )


def tool(query: str) -> str:
    """Finds."""
    return query


def reward(args: Any, prediction: Any) -> float:
    return 1.0


PROGRAMS: list[Callable[[], dspy.Module]] = [
    lambda: dspy.Predict("question -> answer"),
    lambda: dspy.ChainOfThought("context, question -> answer: int"),
    Two,
    Held,
    lambda: dspy.ReAct("question -> answer", tools=[tool]),
    lambda: dspy.BestOfN(dspy.ChainOfThought("question -> answer"), 2, reward, 1.0),
]


def optimized(program: dspy.Module) -> dspy.Module:
    """`program` as an optimizer leaves it: other instructions, descriptions and prefixes, demos of several kinds."""
    for number, predict in enumerate(dict(program.named_predictors()).values()):
        last = list(predict.signature.output_fields)[-1]
        signature = predict.signature.with_instructions(f"Optimized {number}: {{{{ x }}}}\n\n  indented é\n")
        signature = signature.with_updated_fields(last, desc="new {% description %}", prefix="Now answer:")
        predict.signature = signature
        inputs = {name: None if at else "in {" for at, name in enumerate(signature.input_fields)}
        outputs = dict.fromkeys(signature.output_fields, "out }")
        predict.demos = [
            dspy.Example(**inputs, **outputs, augmented=True),
            {**inputs, last: Answer(text="é")},
            dspy.Example(foreign="field", **{last: None}, **inputs),
        ]
    return program


def messages(program: dspy.Module) -> dict[str, Any]:
    """What stock DSPy would send for each predictor, without inputs."""
    return {
        path: formatted(served_adapter(FORM), predict.signature, predict.demos, {})
        for path, predict in program.named_predictors()
    }


@pytest.mark.parametrize("make", PROGRAMS, ids=range(len(PROGRAMS)))
def test_a_state_that_dspy_saved_gives_the_messages_of_the_live_program(make: Any, tmp_path: Path) -> None:
    """Code plus saved state is the optimized program, prompt for prompt and file for file."""
    live = optimized(make())
    live.save(tmp_path / "state.json")
    loaded, notes = with_state(make(), read_state(tmp_path / "state.json"), "state.json")
    assert notes == []
    assert messages(loaded) == messages(live)
    ours, theirs = (tree_of(one, FORM, stages_only=True)[1] for one in (loaded, live))
    assert ours == theirs


@pytest.mark.parametrize("make", PROGRAMS, ids=range(len(PROGRAMS)))
def test_an_exported_state_loads_in_stock_dspy(make: Any, tmp_path: Path) -> None:
    """`v1/state.json` is a state that `program.load` takes, with the same messages."""
    live = optimized(make())
    (tmp_path / "state.json").write_text(tree_of(live, FORM, stages_only=True)[1]["v1/state.json"], encoding="utf-8")
    fresh = make()
    fresh.load(tmp_path / "state.json")
    assert messages(fresh) == messages(live)


def test_the_live_program_is_left_alone() -> None:
    """Loading a state works on a copy."""
    live = Two()
    before = messages(live)
    with_state(live, copy.deepcopy(optimized(Two()).dump_state()), "state.json")
    assert messages(live) == before


def saved(make: Callable[[], dspy.Module] = Two) -> dict[str, Any]:
    """A good state, as JSON has it."""
    state: dict[str, Any] = json.loads(json.dumps(optimized(make()).dump_state(), default=lambda one: one.model_dump()))
    return state


HOSTILE = {
    "config": {"api_base": "http://evil", "api_key": CANARY},
    "forward": "pwn",
    "__class__": "builtins.object",
    "callbacks": ["x"],
    "history": [1],
    "stage": "x",
}


def test_extra_keys_are_dropped_and_named() -> None:
    """Whatever else a state holds reaches no attribute of a predictor."""
    state = saved()
    state["plan"] |= HOSTILE
    program, notes = with_state(Two(), state, "state.json")
    clean, _ = with_state(Two(), saved(), "state.json")
    assert vars(program.plan).keys() == vars(clean.plan).keys()
    assert program.plan.config == {}
    assert callable(program.plan.forward)
    assert notes == [
        "state.json, predictor 'plan': dropped '__class__', 'callbacks', 'config', 'forward', 'history', 'stage', "
        "which prompts do not need."
    ]


def test_an_lm_brings_its_model_and_sampling_only() -> None:
    """No address, key or class of a saved LM is used; what is dropped is named, never shown."""
    state = saved()
    state["plan"]["lm"] = {
        "_dspy_lm_class": "os.system",
        "engine": {"class": "os.system", "command": CANARY},
        "model": "openai/gpt-4o-mini",
        "model_type": "chat",
        "temperature": 0.5,
        "max_tokens": 100,
        "stop": ["\n"],
        "api_base": f"http://evil/{CANARY}",
        "api_key": CANARY,
        "extra_headers": {"authorization": CANARY},
        "model_list": [CANARY],
        "whatever": CANARY,
    }
    program, notes = with_state(Two(), state, "state.json")
    assert type(program.plan.lm) is dspy.LM
    assert program.plan.lm.kwargs == {"temperature": 0.5, "max_tokens": 100, "stop": ["\n"]}
    assert CANARY not in repr(vars(program.plan.lm)) + "".join(notes)
    assert [one.partition("dropped ")[2] for one in notes] == [
        "'api_base' of its LM (connection setting).",
        "'api_key' of its LM (connection setting).",
        "'extra_headers' of its LM (connection setting).",
        "'model_list' of its LM (connection setting).",
        "'whatever' of its LM (unknown setting).",
    ]


def edited(*path: Any, value: Any) -> dict[str, Any]:
    """A good state with one place of it changed."""
    state = saved()
    place: Any = state
    for key in path[:-1]:
        place = place[key]
    if value is KeyError:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return state


MISFITS = [
    ({}, "lacks the predictor 'plan' (it has nothing). Is it the state of another program?"),
    (edited("plan", value=KeyError), "lacks the predictor 'plan' (it has write.predict)"),
    (edited("more", value={}), "has 'more', which the program lacks. Is it the state of another program?"),
    (edited("plan", value=None), "predictor 'plan': is NoneType, not an object."),
    (edited("plan", value=[1]), "predictor 'plan': is list, not an object."),
    (edited("plan", "signature", value=KeyError), "has no signature with instructions and fields."),
    (edited("plan", "signature", value="x"), "has no signature with instructions and fields."),
    (edited("plan", "signature", "instructions", value=5), "has no signature with instructions and fields."),
    (edited("plan", "signature", "fields", value={}), "has no signature with instructions and fields."),
    (edited("plan", "signature", "fields", value=[]), "has 0 fields, but the signature has 2: question, steps."),
    (
        edited("plan", "signature", "fields", 0, value="x"),
        "a field of its signature is not an object with a prefix and a description",
    ),
    (
        edited("plan", "signature", "fields", 0, "prefix", value=None),
        "a field of its signature is not an object with a prefix",
    ),
    (
        edited("plan", "signature", "fields", 0, "description", value=[1]),
        "a field of its signature is not an object with a prefix",
    ),
    (edited("plan", "demos", value=None), "its demos are not a list of objects."),
    (edited("plan", "demos", value=["x"]), "its demos are not a list of objects."),
    (edited("plan", "demos", value={"0": {}}), "its demos are not a list of objects."),
    (edited("plan", "lm", value="gpt"), "its `lm` names no model."),
    (edited("plan", "lm", value={"model": 5}), "its `lm` names no model."),
    (edited("plan", "lm", value={"model": "openai/gpt-5", "temperature": 0.2}), "its LM cannot be created"),
    (edited("plan", "fields", value={"a": 1}), "has decision criteria, which cannot be compiled."),
]


@pytest.mark.parametrize(("state", "reason"), MISFITS, ids=range(len(MISFITS)))
def test_a_state_that_does_not_fit_says_where(state: dict[str, Any], reason: str) -> None:
    """Every misfit is one clear error with the predictor's name."""
    with pytest.raises(StateError) as caught:
        with_state(Two(), state, "state.json")
    assert str(caught.value).startswith("state.json")
    assert reason in str(caught.value)


def test_reordered_fields_are_noticed() -> None:
    """DSPy would put descriptions on the wrong fields without a word."""
    state = json.loads(json.dumps(Two().dump_state()))
    state["write.predict"]["signature"]["fields"].reverse()
    with pytest.raises(StateError, match="has 'Answer:' where the signature has the field 'question'"):
        with_state(Two(), state, "state.json")


def test_a_changed_prefix_is_an_optimizers() -> None:
    """COPRO writes a new prefix for the last output; that is no sign of another program."""
    state = json.loads(json.dumps(Two().dump_state()))
    state["write.predict"]["signature"]["fields"][-1]["prefix"] = "The answer, at last:"
    program, notes = with_state(Two(), state, "state.json")
    assert notes == []
    assert program.write.predict.signature.fields["answer"].json_schema_extra["prefix"] == "The answer, at last:"


class Evil:
    def __reduce__(self) -> Any:
        return (Path("pwned").touch, ())


FILES: list[tuple[str, bytes | None, str]] = [
    ("state.pkl", pickle.dumps(Evil()), "is a pickled program, which could run any code when loaded. Save it with"),
    ("state.pickle", b"x", "a pickled program"),
    ("state.json", pickle.dumps(Evil()), "is not the JSON that program.save('x.json') writes"),
    ("state", None, "a pickled program"),
    ("state.json", b"", "is not the JSON that"),
    ("state.json", b"{", "is not the JSON that"),
    ("state.json", b"\xff\xfe\xfa", "is not the JSON that"),
    ("state.json", b'{"a": "\xe9"}', "is not the JSON that"),
    ("state.json", b'{"a": NaN}', "is not the JSON that program.save('x.json') writes (it contains NaN)."),
    ("state.json", b"[1]", "contains list, not the object"),
    ("state.json", b"null", "contains NoneType, not the object"),
    ("state.json", b"[" * 200_000, "is not the JSON that"),
    ("missing.json", b"", "cannot be read (No such file or directory)."),
]


@pytest.mark.parametrize(("name", "content", "reason"), FILES, ids=range(len(FILES)))
def test_files_that_are_no_state(project: Path, name: str, content: bytes | None, reason: str) -> None:
    """Nothing is unpickled, and what cannot be read is said with the file's name."""
    path = project / name
    if content is None:
        path.mkdir()
    elif name != "missing.json":
        path.write_bytes(content)
    with pytest.raises(StateError) as caught:
        read_state(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert reason in str(caught.value)
    assert not (project / "pwned").exists()


def _nested(levels: int) -> Any:
    value: Any = []
    for _ in range(levels):
        value = [value]
    return value


UNWRITABLE = [
    (edited("plan", "signature", "instructions", value="bad \ud800"), "holds '\\ud800', which UTF-8 cannot encode."),
    (
        edited("plan", "demos", value=[{"question": "\udfff", "steps": []}]),
        "holds '\\udfff', which UTF-8 cannot encode.",
    ),
    (
        edited("plan", "demos", value=[{"question": math.nan, "steps": []}]),
        "has a demo with NaN or infinity, which JSON cannot encode",
    ),
    (
        edited("plan", "demos", value=[{"question": math.inf, "steps": []}]),
        "has a demo with NaN or infinity, which JSON cannot encode",
    ),
    (
        edited("plan", "demos", value=[{"question": _nested(3000), "steps": []}]),
        "has a demo that is nested too deeply.",
    ),
]


@pytest.mark.parametrize(("state", "reason"), UNWRITABLE, ids=range(len(UNWRITABLE)))
def test_texts_and_demos_that_no_file_can_hold(state: dict[str, Any], reason: str) -> None:
    """Half a surrogate pair, NaN and endless nesting are refused with the predictor's name."""
    program, _ = with_state(Two(), state, "state.json")
    with pytest.raises(CompileError) as caught:
        compile_program(program, form=FORM, model=MODEL)
    assert str(caught.value).startswith(f"cannot compile plan: {reason}")


def test_a_large_state_is_taken() -> None:
    """A thousand demos are no attack."""
    state = edited("plan", "demos", value=[{"question": "q" * 1000, "steps": ["a"]}] * 1000)
    program, _ = with_state(Two(), state, "state.json")
    assert len(program.plan.demos) == 1000


PLACES = [
    ("plan",),
    ("plan", "demos"),
    ("plan", "signature"),
    ("plan", "lm"),
    ("plan", "signature", "fields"),
    ("metadata",),
]


@PURE
@given(st.sampled_from(PLACES), anything)
def test_any_json_in_any_place_loads_or_is_refused(place: tuple[str, ...], value: Any) -> None:
    """No state makes anything but a program or a clear StateError."""
    try:
        program, _ = with_state(Two(), edited(*place, value=value), "state.json")
        tree_of(program, FORM, stages_only=True)
    except (StateError, CompileError):
        return


def test_no_secret_reaches_files_or_notes() -> None:
    """Keys and headers of LMs and configs stay out of everything an export makes; their names are told."""
    program = Two()
    hiding = {
        **dict.fromkeys(("api_key", "api_version", "organization", "azure_ad_token"), CANARY),
        **dict.fromkeys(("api_base", "base_url"), f"http://user:{CANARY}@127.0.0.1:9/v1?key={CANARY}"),
        **{name: {"authorization": CANARY} for name in ("headers", "extra_headers")},
        **dict.fromkeys(("aws_region_name", "vertex_project"), CANARY),
    }
    program.set_lm(dspy.LM("openai/gpt-4o-mini", temperature=0.5, **hiding))
    program.write.predict.config = {"api_key": CANARY, "extra_headers": {"x": CANARY}}
    program.write.predict.traces = [{"lm": CANARY}]
    program.plan.train = [CANARY]
    program.plan.demos = [{"question": "q", "steps": [], "api_key": CANARY, "lm": CANARY}]
    compiled = compile_program(program, form=FORM, model=MODEL, stages_only=True)
    manifest, files = tree_of(program, FORM, stages_only=True)
    assert CANARY not in repr(compiled)
    assert CANARY not in manifest.to_json() + "".join(f"{path}{text}" for path, text in files.items())
    assert [note for note in compiled.notes if note.startswith("plan: ") and "api_key" in note]
    assert [note for note in compiled.notes if note.startswith("write.predict: ") and "extra_headers" in note]


SECRETS = ["api_key", "aws_access_key_id", "aws_secret_access_key", "aws_session_token", "vertex_credentials", "token"]
SECRETS += ["default_headers", "proxy", "client", "azure_ad_token_provider", "api_token", "extra_query", "extra_body"]


@pytest.mark.parametrize("name", SECRETS)
def test_no_secret_reaches_an_error(name: str) -> None:
    """A setting that is refused or dropped is named, and its value not shown."""
    program = Two()
    program.plan.lm = dspy.LM("openai/gpt-4o-mini")
    program.plan.lm.kwargs |= {name: CANARY, "temperature": {"secret": CANARY}}
    with pytest.raises(CompileError) as caught:
        compile_program(program, form=FORM, model=MODEL)
    assert CANARY not in str(caught.value)
