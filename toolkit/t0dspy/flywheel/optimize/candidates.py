"""What an optimizer starts from: the incumbent, ready to be changed, and demos to try, none of sealed data."""

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dspy
from dspy.adapters.utils import serialize_for_json

from t0dspy.compiler.introspect import signature_of
from t0dspy.compiler.sampling import VARIANT_KEYS
from t0dspy.errors import OptimizeError
from t0dspy.flywheel.example import PulledExample
from t0dspy.flywheel.metrics import mark_paths
from t0dspy.flywheel.to_dspy import to_demo
from t0dspy.model import canonical

Demo = Mapping[str, Any]
DemoSets = dict[str, list[list[dspy.Example]]]
"""Path of a predictor -> sets of demos to try."""


def student_of(incumbent: dspy.Module) -> dspy.Module:
    """A copy of `incumbent` that an optimizer may change: its own LMs give way to the task model.

    What an LM of a predictor's own sets of sampling (temperature ...) stays, in the predictor's config.
    """
    student: dspy.Module = incumbent.deepcopy()
    for _, module in student.named_sub_modules(dspy.Module):
        # Workaround (dspy 3.4): `named_predictors` hides the predictors of a submodule that is marked as compiled;
        # remove when it lists them.
        setattr(module, "_compiled", False)  # noqa: B010
    mark_paths(student)
    for predict in student.predictors():
        own = getattr(predict.lm, "kwargs", {}) if predict.lm is not None else {}
        sampling = {name: value for name, value in own.items() if name in VARIANT_KEYS and value is not None}
        predict.config = {**sampling, **predict.config}
        predict.lm = None
        predict.demos = sanitized(predict.demos, signature_of(predict))
    return student


def with_prompts_of(incumbent: dspy.Module, best: dspy.Module) -> dspy.Module:
    """A copy of `incumbent` with the instructions and demos of `best`, all else its own."""
    challenger: dspy.Module = incumbent.deepcopy()
    found = dict(best.named_predictors())
    for path, predict in challenger.named_predictors():
        predict.signature = predict.signature.with_instructions(signature_of(found[path]).instructions)
        predict.demos = sanitized(found[path].demos, signature_of(predict))
    return challenger


def prompts_of(program: dspy.Module) -> dict[str, dict[str, Any]]:
    """Path of a predictor -> its `instructions` and `demos`, as plain values."""
    return {
        path: {
            "instructions": signature_of(predict).instructions,
            "demos": [dict(demo) for demo in sanitized(predict.demos, signature_of(predict))],
        }
        for path, predict in program.named_predictors()
    }


def same_prompts(one: dspy.Module, other: dspy.Module) -> bool:
    """Whether two programs have the same instructions and demos."""
    return prompts_key(one) == prompts_key(other)


def prompts_key(program: dspy.Module) -> str:
    """A text that is equal for programs with equal instructions and demos."""
    return _key(prompts_of(program))


def sanitized(demos: Iterable[Demo], signature: type[dspy.Signature]) -> list[dspy.Example]:
    """The demos that DSPy would show, with the fields of the predictor and nothing else of an example."""
    shown = []
    for demo in demos:
        fields = {name: demo[name] for name in signature.fields if name in demo}
        if fields.keys() & signature.input_fields.keys() and fields.keys() & signature.output_fields.keys():
            kept = {**fields, "augmented": True} if demo.get("augmented") else fields
            shown.append(dspy.Example(kept))
    return shown


def distinct(sets: Iterable[Sequence[dspy.Example]]) -> list[list[dspy.Example]]:
    """The sets without those that repeat an earlier one."""
    known: dict[str, list[dspy.Example]] = {}
    for one in sets:
        known.setdefault(_key([demo.toDict() for demo in one]), list(one))
    return list(known.values())


def production_sets(
    runs: Sequence[PulledExample], program: dspy.Module, size: int, *, sets: int = 2, seed: int = 9
) -> DemoSets:
    """Sets of demos from logged runs that people found good, for each predictor of `program`.

    Args:
        runs: good runs, newest first; of the training set alone.
        program: whose predictors they are of. A program that is one predictor is logged without stages.
        size: demos in a set.
        sets: how many sets: the newest runs, then random ones.
        seed: of the random ones.
    """
    rng = random.Random(seed)
    chosen = [list(runs), *(rng.sample(list(runs), len(runs)) for _ in range(sets - 1))]
    return {
        path: distinct(filter(None, (_demos(order, path, predict, size) for order in chosen)))
        for path, predict in program.named_predictors()
    }


def _demos(runs: Sequence[PulledExample], path: str, predict: dspy.Predict, size: int) -> list[dspy.Example]:
    demos: list[dspy.Example] = []
    for run in runs:
        if len(demos) >= size:
            break
        calls = [stage for stage in run.stages if stage.predictor == path] if run.stages else [run]
        found = [demo for demo in (to_demo(call, predict) for call in calls[-1:]) if demo is not None]
        demos += found
    return demos


class Sealed:
    """Validation and holdout items, which no prompt may show."""

    def __init__(self, items: Iterable[Mapping[str, Any]]) -> None:
        """`items` are the input fields of each: of the programs' runs, and of their stages."""
        self._items: dict[tuple[str, ...], set[str]] = {}
        for inputs in items:
            names = tuple(sorted(inputs))
            self._items.setdefault(names, set()).add(_unordered([inputs[name] for name in names]))

    def holds(self, demo: Demo) -> bool:
        """Whether a demo shows the inputs of one of the items."""
        return any(
            all(name in demo for name in names) and _unordered([demo[name] for name in names]) in known
            for names, known in self._items.items()
            if names
        )

    def without(self, demos: Iterable[dspy.Example]) -> list[dspy.Example]:
        """The demos that show none of the items."""
        return [demo for demo in demos if not self.holds(demo.toDict())]


def stage_index(program: dspy.Module, stage: str | None) -> int | None:
    """The place of the predictor `stage` (its path, or the path's first part) among those of `program`.

    Raises:
        OptimizeError: there is none, or several.
    """
    if stage is None:
        return None
    paths = [path for path, _ in program.named_predictors()]
    found = [at for at, path in enumerate(paths) if path == stage]
    found = found or [at for at, path in enumerate(paths) if path.partition(".")[0] == stage]
    if len(found) != 1:
        raise OptimizeError(f"no predictor {stage!r} to optimize; the program has {', '.join(paths)}.")
    return found[0]


def _key(value: Any) -> str:
    return canonical(serialize_for_json(value))


def _unordered(value: Any) -> str:
    """Equal for objects with equal fields in any order: a type and a log may order them differently."""
    return json.dumps(serialize_for_json(value), sort_keys=True, default=str)
