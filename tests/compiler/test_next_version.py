"""The next version: what is new, what is the same, what keeps its name, what is refused."""

import tomllib
from dataclasses import replace
from typing import Any, Literal

import dspy
import pytest

from support.rendering import MODEL, ORIGIN
from t0dspy.artifact.manifest import Manifest
from t0dspy.compiler.compile import compile_program
from t0dspy.compiler.next_version import DEADLINES, NextVersion, contract_differences, next_version
from t0dspy.errors import ContractError
from t0dspy.exporting.export import export
from t0dspy.model import CompiledProgram, Contract, LmEntry, PromptForm


class Two(dspy.Module):
    def __init__(self, first: Any = "question -> steps: list[str]") -> None:
        super().__init__()
        self.plan = dspy.Predict(first)
        self.write = dspy.ChainOfThought("question, steps: list[str] -> answer")

    def forward(self, question: str) -> Any:
        return self.write(question=question, steps=self.plan(question=question).steps)


def after(
    previous: Manifest, program: dspy.Module, text: Any = "chat", place: Any = "turns", **options: Any
) -> NextVersion:
    """What exporting `program` adds to `previous`."""
    compiled = compile_program(program, form=PromptForm(text, place), **{"model": MODEL, "code_hash": "c", **options})
    return next_version(compiled, previous, ORIGIN)


EMPTY = Manifest("app", None, DEADLINES)


def told(predict: dspy.Predict, text: str) -> dspy.Predict:
    predict.signature = predict.signature.with_instructions(text)
    return predict


def test_a_program_that_comes_back_is_the_version_it_was() -> None:
    """A, then B, then A again is v1: nothing to write."""
    first = after(EMPTY, told(dspy.Predict("a -> b"), "A"))
    second = after(first.manifest, told(dspy.Predict("a -> b"), "B"))
    again = after(second.manifest, told(dspy.Predict("a -> b"), "A"))
    assert (first.version, second.version, again.version) == ("v1", "v2", "v1")
    assert again.unchanged
    assert again.files == {}
    assert again.manifest is second.manifest


def changed_description(predict: dspy.Predict) -> None:
    predict.signature = predict.signature.with_updated_fields("b", desc="other")


CHANGES: list[tuple[str, Any, dict[str, Any]]] = [
    ("instructions", lambda one: told(one, "other"), {}),
    ("description", changed_description, {}),
    ("demo", lambda one: one.demos.append({"a": "1", "b": "2"}), {}),
    ("temperature", lambda one: one.config.update(temperature=0.5), {}),
    ("model", lambda one: None, {"model": "anthropic::x"}),
]


@pytest.mark.parametrize(("what", "change", "options"), CHANGES, ids=lambda one: one if isinstance(one, str) else "")
def test_any_change_to_a_prompt_is_a_new_version(what: str, change: Any, options: dict[str, Any]) -> None:
    """Instructions, descriptions, demos, model and sampling each make a new version, in the same functions."""
    program = dspy.Predict("a -> b")
    first = after(EMPTY, program, "json", "system")
    change(program)
    second = after(first.manifest, program, "json", "system", **options)
    assert not second.unchanged
    assert second.version == "v2"
    assert second.manifest.functions == first.manifest.functions
    assert {path for path in second.files if not path.startswith("v2/")} == {"program.toml"}


def test_code_counts_where_code_runs() -> None:
    """A changed source is a new version of a program that the server runs, and nothing to one that has no Python."""
    first = after(EMPTY, Two())
    assert not after(first.manifest, Two(), code_hash="other").unchanged
    alone = after(EMPTY, dspy.Predict("a -> b"))
    assert after(alone.manifest, dspy.Predict("a -> b"), code_hash="other").unchanged


def test_a_changed_predictor_gets_a_new_function() -> None:
    """The old function stays, the others keep their names, and a contract that comes back finds its function again."""
    first = after(EMPTY, Two())
    second = after(first.manifest, Two("question -> steps: list[str], count: int"))
    third = after(second.manifest, told_plan(Two()))
    names = [
        {path: one.function for path, one in each.manifest.versions[each.version].predictors.items()}
        for each in (first, second, third)
    ]
    assert names == [
        {"plan": "app__plan", "write.predict": "app__write"},
        {"plan": "app__plan_2", "write.predict": "app__write"},
        {"plan": "app__plan", "write.predict": "app__write"},
    ]
    assert first.manifest.functions.items() <= second.manifest.functions.items() == third.manifest.functions.items()


def told_plan(program: Two) -> Two:
    told(program.plan, "again")
    return program


def test_the_text_is_part_of_a_predictors_contract() -> None:
    """A stage exported as json after chat is another function, since a function's type never changes."""
    first = after(EMPTY, Two())
    second = after(first.manifest, Two(), "json")
    functions = second.manifest.functions
    assert functions["app__plan"].type == "chat"
    assert functions["app__plan_2"].type == "json"
    assert functions["app"] == first.manifest.functions["app"]


@pytest.mark.parametrize(("text", "other"), [("chat", "json"), ("json", "chat")])
def test_a_names_type_never_changes(text: Any, other: Any) -> None:
    """A program served by the gateway alone goes through the server once its text differs from NAME's type."""
    first = after(EMPTY, dspy.Predict("a -> b"), text)
    assert first.manifest.versions["v1"].served_by == "gateway"
    second = after(first.manifest, dspy.Predict("a -> b"), other)
    assert second.manifest.functions["app"] == first.manifest.functions["app"]
    assert second.manifest.versions["v2"].served_by == "programs"
    assert second.manifest.functions["app__predictor"].type == other
    third = after(second.manifest, told(dspy.Predict("a -> b"), "new"), text)
    assert third.manifest.versions["v3"].served_by == "gateway"


def test_demos_as_turns_go_through_the_server() -> None:
    """And folded into the system message they do not."""
    program = dspy.Predict("a -> b")
    program.demos = [{"a": "1", "b": "2"}]
    first = after(EMPTY, program)
    assert first.manifest.versions["v1"].served_by == "programs"
    assert first.manifest.versions["v1"].predictors["self"].demo_turns == 1
    second = after(first.manifest, program, "json", "system")
    assert second.manifest.versions["v2"].served_by == "gateway"


DIFFERENCES: list[tuple[str, str, list[str]]] = [
    ("a -> b", "a: int -> b", ["input 'a': "]),
    ("a -> b", "a, c -> b", ["input 'c': absent -> "]),
    ("a -> b: int", "a -> c: int", ["output 'b': ", "output 'c': absent -> "]),
    ("a, c -> b", "c, a -> b", ["the order or a shared type of the inputs changed"]),
    ("a -> b, c", "a -> c, b", ["the order or a shared type of the outputs changed"]),
    ("a: int, c -> b, d", "c, a: str -> d, b", ["input 'a': ", "the order or a shared type of the outputs changed"]),
]


@pytest.mark.parametrize(("old", "new", "starts"), DIFFERENCES)
def test_a_changed_program_contract_is_told_field_by_field(old: str, new: str, starts: list[str]) -> None:
    """Every difference has a line: fields, types, and the order where only that changed."""
    contracts = [compile_program(dspy.Predict(one), form=PromptForm(), model=MODEL).contract for one in (old, new)]
    lines = contract_differences(*((one.inputs, one.outputs) for one in contracts if one is not None))
    assert len(lines) == len(starts), lines
    assert all(line.startswith(start) for line, start in zip(lines, starts, strict=True)), lines


def test_a_changed_program_contract_is_refused_unless_breaking(project: Any) -> None:
    """`--breaking` leaves the old program as it is and makes NAME_2, which later exports find again."""
    options: dict[str, Any] = {"name": "app", "model": MODEL, "verify": False}
    export(dspy.Predict("a -> b"), **options)
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    with pytest.raises(ContractError) as caught:
        export(dspy.Predict("a, c -> b"), **options)
    assert "would change the contract of app:\n  input 'c': absent -> " in str(caught.value)
    assert "Pass --breaking to keep app unchanged and create app_2" in str(caught.value)
    done = export(dspy.Predict("a, c -> b"), breaking=True, **options)
    assert (done.name, done.version) == ("app_2", "v1")
    assert {path: path.read_bytes() for path in before} == before
    assert export(dspy.Predict("a, c -> b"), breaking=True, **options).unchanged


def test_the_manifest_survives_its_file() -> None:
    """What is written is read back equal."""
    from t0dspy.artifact.manifest import parse_manifest

    manifest = replace(after(EMPTY, Two()).manifest, files={"a": "b"})
    assert parse_manifest(manifest.to_json(), f"{manifest.name}/manifest.json") == manifest


class Kinds(dspy.Signature):
    """Sort."""

    text: str = dspy.InputField()
    kind: Literal["x", "y"] = dspy.OutputField()


def test_a_description_is_no_part_of_the_contract() -> None:
    """Optimizers rewrite descriptions; the function stays."""
    first = after(EMPTY, dspy.Predict(Kinds))
    second = after(first.manifest, dspy.Predict(Kinds.with_updated_fields("kind", desc="pick one")))
    assert second.manifest.functions == first.manifest.functions
    assert second.version == "v2"


def _lms() -> dict[str, LmEntry]:
    return {"main": LmEntry("openai/gpt-4o", "openai::gpt-4o"), "small": LmEntry("openai/small", "small")}


def _variants(planned: NextVersion, function: str) -> dict[str, Any]:
    config = tomllib.loads(planned.files[f"{planned.version}/variant.toml"])
    variants: dict[str, Any] = config["functions"][function]["variants"]
    return variants


def _with_lms(program: dspy.Module, **options: Any) -> CompiledProgram:
    compiled = compile_program(program, form=PromptForm(), model="openai::gpt-4o", **options)
    predictors = tuple(replace(predictor, lm="main") for predictor in compiled.predictors)
    return replace(compiled, predictors=predictors, lms=_lms())


def test_a_stage_has_a_pair_of_variants_for_each_lm() -> None:
    """DSPy retries there, so the gateway does not; the LMs share the templates."""
    planned = next_version(_with_lms(Two()), EMPTY, ORIGIN)
    variants = _variants(planned, "app__plan")
    assert list(variants) == ["v1", "v1_json", "v1__small", "v1__small_json"]
    assert [variant["model"] for variant in variants.values()] == ["openai::gpt-4o"] * 2 + ["small"] * 2
    assert not any("retries" in variant for variant in variants.values())
    assert variants["v1"]["templates"] == variants["v1__small"]["templates"]
    assert variants["v1_json"]["templates"]["user"]["path"] == "plan.json.user.minijinja"
    entry = planned.manifest.versions["v1"].predictors["plan"]
    assert (entry.lm, list(entry.texts)) == ("main", ["chat", "json"])


def test_a_direct_function_has_variants_of_its_own_for_the_runtime() -> None:
    """Other clients get the variant that the gateway retries."""
    planned = next_version(_with_lms(dspy.Predict("a -> b")), EMPTY, ORIGIN)
    variants = _variants(planned, "app")
    assert list(variants) == ["v1", "v1__main", "v1__main_json", "v1__small", "v1__small_json"]
    assert [name for name, variant in variants.items() if "retries" in variant] == ["v1"]


@pytest.mark.parametrize("place", ["turns", "system"])
def test_without_the_json_fallback_there_is_one_text(place: str) -> None:
    """The option of the configured adapter is part of the version, wherever the demos are."""
    with dspy.context(adapter=dspy.ChatAdapter(use_json_adapter_fallback=False)):
        planned = after(EMPTY, Two(), "chat", place)
    assert list(_variants(planned, "app__plan")) == ["v1"]
    assert planned.manifest.versions["v1"].adapter == {"use_json_adapter_fallback": False}


def test_a_function_of_an_older_export_learns_to_take_texts() -> None:
    """Its schema file becomes wider, and its contract stays."""
    first = after(EMPTY, Two())
    functions = {name: replace(entry, takes_text=False) for name, entry in first.manifest.functions.items()}
    second = after(replace(first.manifest, functions=functions), told_plan(Two()))
    schemas = {path for path in second.files if path.startswith("schemas/")}
    assert schemas == {f"schemas/{name}.input.json" for name in ("app", "app__plan", "app__write")}
    assert second.manifest.functions == first.manifest.functions
    assert second.manifest.versions["v2"].predictors["plan"].function == "app__plan"


def test_a_kept_predictor_has_a_blank_function() -> None:
    """No schema, no template; one variant for each LM."""
    compiled = _with_lms(Two())
    plan = replace(
        compiled.predictors[0], kept=True, templates={}, json_mode={}, contract=Contract("chat", {}, {}), state={}
    )
    compiled = replace(compiled, predictors=(plan, compiled.predictors[1]))
    planned = next_version(compiled, EMPTY, ORIGIN)
    function = planned.manifest.functions["app__plan"]
    assert (function.blank, function.input_schema) == (True, "")
    assert tomllib.loads(planned.files["program.toml"])["functions"]["app__plan"].keys() == {"type", "description"}
    assert list(_variants(planned, "app__plan")) == ["v1", "v1__small"]
    assert not [path for path in planned.files if path.startswith("v1/plan.")]
