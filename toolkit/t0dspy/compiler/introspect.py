"""List the predictors of a live DSPy program, and refuse what cannot be compiled, with name and reason."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import dspy
import pydantic
from pydantic.fields import FieldInfo

from t0dspy.artifact.lms import ADDRESS_KEYS
from t0dspy.compiler.keep import Kept, paths_of
from t0dspy.compiler.made_at_run_time import creations_in
from t0dspy.compiler.sampling import lm_state_of, sampling_of
from t0dspy.compiler.schema import is_text_output
from t0dspy.errors import CompileError, Refusal
from t0dspy.model import Predictor

_UNSERVABLE = {
    "RLM": ("rewrites its instructions for every call.", "Use dspy.ReAct with a tool."),
    "Flex": ("is code that an optimizer writes, not a prompt.", "Use dspy.Predict or dspy.ChainOfThought."),
    "ReActV2": (
        "sends native tool calls, which an exported prompt cannot contain.",
        "Use dspy.ReAct, which prints the tools into the prompt.",
    ),
    "Refine": (
        "adds a `hint_` input to its predictors while it runs, which changes their system message, and calls an "
        "additional predictor that an export does not contain.",
        "Use dspy.BestOfN with the same reward function.",
    ),
    "ProgramOfThought": ("is deprecated and runs code it generates.", "Use dspy.ReAct with a tool."),
    "CodeAct": ("is deprecated and runs code it generates.", "Use dspy.ReAct with a tool."),
}
"""DSPy modules that cannot be served -> (reason, remedy)."""

# Workaround (tensorzero 2026.6): MiniJinja reads these names as literals or operators, not as variables; remove when
# templates can address arguments by any name.
UNLOADABLE_NAMES = frozenset(("true", "false", "none", "True", "False", "None", "not"))
"""Field names that MiniJinja reads as literals or operators, not as variables."""

_FILES = (dspy.Image, dspy.Audio, dspy.File)

TAKEN_NAMES = frozenset(("self", "demos", "config", "lm", "new_signature"))
"""Keywords of a dspy.Predict call: an input with such a name never reaches the prompt."""


def predictors_of(program: dspy.Module, keep: Sequence[str] = ()) -> list[Predictor]:
    """Return the predictors of `program`, in DSPy's order, and after them the kept modules.

    Args:
        program: the live program.
        keep: the paths of predictors and modules that stay in Python; a module covers the predictors inside it.

    Raises:
        CompileError: if the program cannot be served; it lists every reason.
    """
    kept = Kept(program, keep)
    refusals = [problem.offering_keep() for problem in problems_of(program) if not kept.covers(problem.module)]
    if refusals:
        raise CompileError(list(dict.fromkeys(refusals)))
    compiled = [(path, predict) for path, predict in program.named_predictors() if not kept.covers(predict)]
    return [
        *(_predictor(path, predict) for path, predict in compiled),
        *(_kept(program, path, module) for path, module in kept.modules.items()),
    ]


@dataclass(frozen=True)
class Problem:
    """A reason why a predictor or module cannot be compiled."""

    path: str
    module: dspy.Module
    """The predictor or module that can be kept instead."""
    refusal: Refusal

    def offering_keep(self) -> Refusal:
        """Return the refusal with `--keep PATH` as a further remedy."""
        keep = f"Or pass --keep {shlex.quote(self.path)}, so that it runs in Python through DSPy."
        return replace(self.refusal, remedy=f"{self.refusal.remedy} {keep}")


def problems_of(program: dspy.Module) -> list[Problem]:
    """Return every reason why a part of `program` cannot be compiled."""
    named = list(program.named_predictors())
    problems = [*_refused_modules(program), *_hidden(program, named), *_made_while_running(program)]
    if not named and not problems:
        refusal = Refusal("the program", "has no predictors.", "Export a dspy.Module with a dspy.Predict in it.")
        return [Problem("self", program, refusal)]
    inside = _inside_unservable(program)
    for path, predict in named:
        if id(predict) not in inside:  # else its module has been refused already
            refusals = [*refused_fields(path, signature_of(predict)), *_taken_names(path, signature_of(predict))]
            refusals += _refused_config(path, predict)
            problems += [Problem(path, predict, refusal) for refusal in refusals]
    return problems


def modules_of(program: dspy.Module, kind: type[dspy.Module] = dspy.Module) -> list[tuple[str, dspy.Module]]:
    """Return every `kind` of module in `program`, itself, frozen and hidden modules included, with its path."""
    return cast("list[tuple[str, dspy.Module]]", list(program.named_sub_modules(kind)))


def signature_of(predict: dspy.Predict) -> type[dspy.Signature]:
    """Return the signature of `predict`, which DSPy types as optional."""
    return cast("type[dspy.Signature]", predict.signature)


def lm_of(predict: dspy.Predict) -> Any:
    """Return the LM that a call of `predict` would use: its own, or else the configured LM; None if neither is set."""
    return predict.lm or dspy.settings.lm


def refused_fields(location: str, signature: type[dspy.Signature], *, prints_inputs: bool = True) -> Iterator[Refusal]:
    """Yield the reasons why the fields of `signature` cannot become a schema and a template.

    Args:
        location: the predictor, or the program.
        signature: its signature.
        prints_inputs: whether a prompt holds the fields, so that they must be text; else they are JSON only.
    """
    for name, info in signature.fields.items():
        field = f"{location}, field {name!r}"
        if name in UNLOADABLE_NAMES or not name.isascii() or name.startswith("_"):
            yield Refusal(field, "is a name the gateway's templates cannot use.", "Rename the field.")
        else:
            yield from _refused_type(field, info, text=prints_inputs)


def _taken_names(path: str, signature: type[dspy.Signature]) -> Iterator[Refusal]:
    for name in signature.input_fields:
        if name in TAKEN_NAMES:
            reason = "is a keyword of dspy.Predict, so its value never reaches the prompt."
            yield Refusal(f"{path}, field {name!r}", reason, "Rename the field.")


def _predictor(path: str, predict: dspy.Predict) -> Predictor:
    sampling = sampling_of(lm_of(predict), predict.config)
    demos = tuple(_demo(demo, signature_of(predict)) for demo in predict.demos)
    lm_state = None if predict.lm is None else lm_state_of(predict.lm)
    return Predictor(path, signature_of(predict), demos, None, sampling.keys, extra=sampling.extra, lm_state=lm_state)


def _kept(program: dspy.Module, path: str, module: dspy.Module) -> Predictor:
    """Return the kept predictor or module at `path`, with the predictors that it covers."""
    inside = {id(predict) for _, predict in modules_of(module, dspy.Predict)}
    covered = tuple(
        _predictor(name, predict)
        for name, predict in paths_of(program).items()
        if id(predict) in inside and isinstance(predict, dspy.Predict)
    )
    fields = [info for each in covered for info in each.signature.fields.values()]
    files = any(issubclass(kind, _FILES) for info in fields for kind in _custom_types(info.annotation))
    kept = Predictor(path, dspy.Signature, (), None, {}, kept=True, covered=covered, sends_files=files)
    if not isinstance(module, dspy.Predict):
        return kept
    return replace(kept, signature=signature_of(module), sampling={**covered[0].sampling, **covered[0].extra})


def _demo(demo: Any, signature: type[dspy.Signature]) -> Mapping[str, Any]:
    values = dict(demo.toDict() if isinstance(demo, dspy.Example) else demo)
    if isinstance(demo, dspy.Example):  # toDict() serializes, but the prompt prints the original values
        values = {name: demo[name] for name in values}
    return {name: value for name, value in values.items() if name in signature.fields or name == "augmented"}


def _refused_modules(program: dspy.Module) -> Iterator[Problem]:
    for location, module in paths_of(program).items():
        for kind in type(module).__mro__:
            if kind.__module__.startswith("dspy.") and kind.__name__ in _UNSERVABLE:
                reason, remedy = _UNSERVABLE[kind.__name__]
                yield Problem(location, module, Refusal(location, f"dspy.{kind.__name__} {reason}", remedy))
                break
        if "forward" in vars(module):
            reason = "its `forward` was replaced on the instance, as KNNFewShot does, so its prompts differ per call."
            yield Problem(
                location, module, Refusal(location, reason, "Compile with BootstrapFewShot or MIPROv2 instead.")
            )
        if isinstance(module, dspy.Predict) and getattr(module, "fields", None):
            reason = "it has decision criteria, which a template cannot print."
            yield Problem(location, module, Refusal(location, reason, "Use plain output types."))


def _hidden(program: dspy.Module, named: Sequence[tuple[str, dspy.Predict]]) -> Iterator[Problem]:
    visible = {id(predict) for _, predict in named}
    refused = _inside_unservable(program)
    for path, predict in modules_of(program, dspy.Predict):
        if id(predict) not in visible | refused:
            reason = (
                "is hidden from `named_predictors()`: it is in a frozen submodule (`_compiled = True`) or in a "
                "container inside a container, so optimizers and saved states do not include it."
            )
            remedy = "Set `_compiled = False` on the submodule, or keep predictors in one flat list or dict."
            location = path.removeprefix("self.")
            yield Problem(location, predict, Refusal(location, reason, remedy))
    modules = modules_of(program)
    packages, known = {_package(module) for _, module in modules} - {"dspy"}, {id(module) for _, module in modules}
    for path, module in modules:
        if not isinstance(module, dspy.Predict):
            for refusal in _out_of_sight(path, module, packages, known):
                yield Problem(path.removeprefix("self."), module, refusal)


def _package(value: Any) -> str:
    return type(value).__module__.partition(".")[0]


def _out_of_sight(path: str, holder: Any, packages: set[str], known: set[int]) -> Iterator[Refusal]:
    """Refuse predictors in sets, tools and objects of the user's `packages`, because DSPy does not search there."""
    held = [(f"{path}.{name}".removeprefix("self."), value) for name, value in vars(holder).items()]
    while held:
        location, value = held.pop()
        if isinstance(value, dspy.Module) and id(value) not in known:
            reason = (
                "is a predictor where DSPy does not find it: in a set, a tool or an object that is not a dspy.Module."
            )
            yield Refusal(location, reason, "Keep it on a dspy.Module, alone or in one flat list or dict.")
        elif id(value) not in known:
            held += [(f"{location}{step}", inner) for step, inner in _inner(value, packages)]
        known.add(id(value))


def _inner(value: Any, packages: set[str]) -> list[tuple[str, Any]]:
    if isinstance(value, Mapping):
        return [(f"[{key!r}]", item) for key, item in value.items()]
    if isinstance(value, list | tuple | set | frozenset):
        return [(f"[{index}]", item) for index, item in enumerate(value) if not isinstance(item, str)]
    if isinstance(value, dspy.Tool):
        return [(".func", value.func)]
    if _package(value) not in packages:
        return []
    return [(f".{name}", item) for name, item in getattr(value, "__dict__", {}).items()]


def _inside_unservable(program: dspy.Module) -> set[int]:
    """Return the ids of the predictors inside modules that are refused as a whole."""
    return {
        id(part)
        for _, module in modules_of(program)
        if any(kind.__name__ in _UNSERVABLE and kind.__module__.startswith("dspy.") for kind in type(module).__mro__)
        for _, part in modules_of(module, dspy.Predict)
    }


def _made_while_running(program: dspy.Module) -> Iterator[Problem]:
    paths = {id(module): path for path, module in paths_of(program).items()}
    for path, module in modules_of(program):
        if not type(module).__module__.startswith("dspy."):
            location = path.removeprefix("self.") if path != "self" else type(module).__name__
            for creation in creations_in(module):
                refusal = Refusal(location, creation.reason, creation.remedy)
                part = creation.predictor if id(creation.predictor) in paths else module
                yield Problem(paths[id(part)], cast("dspy.Module", part), refusal)


def _refused_type(field: str, info: FieldInfo, *, text: bool) -> Iterator[Refusal]:
    if is_text_output(info):
        return
    custom = next(_custom_types(info.annotation), None) if text else None
    if custom is not None:
        yield Refusal(
            field,
            f"type dspy.{custom.__name__} is sent to a model as more than text.",
            "Give the field a JSON type.",
        )
        return
    try:
        adapter: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(cast("Any", info.annotation))
        adapter.json_schema(mode="serialization")
        adapter.json_schema(mode="validation")
    except Exception as error:  # a type's own schema hook may raise anything
        reason = str(error).splitlines()[0]
        yield Refusal(field, f"type {info.annotation!r} has no JSON Schema ({reason}).", "Give the field a JSON type.")


def _custom_types(annotation: Any) -> Iterator[type]:
    if isinstance(annotation, type) and issubclass(annotation, dspy.Type | dspy.History):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _custom_types(inner)


def _refused_config(path: str, predict: dspy.Predict) -> Iterator[Refusal]:
    for name in ("model", *ADDRESS_KEYS):
        if predict.config.get(name) is not None:
            reason = "is not an option of a call that the gateway can carry, because it selects another LM."
            yield Refusal(
                f"{path}, setting {name!r}", reason, "Give the predictor an LM of its own: set_lm(dspy.LM(...))."
            )
