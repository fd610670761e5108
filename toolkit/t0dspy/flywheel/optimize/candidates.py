"""The starting point of an optimizer: a copy of the incumbent to change, and demos to try, none from sealed data."""

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
    """Return a copy of `incumbent` that an optimizer may change, and that runs with the task model.

    The sampling parameters (temperature and others) of a predictor's own LM are kept in the predictor's config.
    """
    student: dspy.Module = incumbent.deepcopy()
    for _, module in student.named_sub_modules(dspy.Module):
        # Workaround (dspy 3.4): `named_predictors` hides the predictors of a submodule that is marked as compiled;
        # remove when it lists them.
        setattr(module, "_compiled", False)  # noqa: B010
    mark_paths(student)
    for predict in student.predictors():
        lm_options = getattr(predict.lm, "kwargs", {}) if predict.lm is not None else {}
        sampling = {name: value for name, value in lm_options.items() if name in VARIANT_KEYS and value is not None}
        predict.config = {**sampling, **predict.config}
        predict.lm = None
        predict.demos = sanitized(predict.demos, signature_of(predict))
    return student


def copy_with_prompts(incumbent: dspy.Module, best: dspy.Module) -> dspy.Module:
    """Return a copy of `incumbent` with the instructions and demos of `best`."""
    challenger: dspy.Module = incumbent.deepcopy()
    predictors = dict(best.named_predictors())
    for path, predict in challenger.named_predictors():
        predict.signature = predict.signature.with_instructions(signature_of(predictors[path]).instructions)
        predict.demos = sanitized(predictors[path].demos, signature_of(predict))
    return challenger


def prompts_of(program: dspy.Module) -> dict[str, dict[str, Any]]:
    """Return path of a predictor -> its `instructions` and `demos`, as plain values."""
    return {
        path: {
            "instructions": signature_of(predict).instructions,
            "demos": [dict(demo) for demo in sanitized(predict.demos, signature_of(predict))],
        }
        for path, predict in program.named_predictors()
    }


def same_prompts(first: dspy.Module, other: dspy.Module) -> bool:
    """Return whether two programs have the same instructions and demos."""
    return prompts_key(first) == prompts_key(other)


def prompts_key(program: dspy.Module) -> str:
    """Return a text that is equal for programs with equal instructions and demos."""
    return _key(prompts_of(program))


def sanitized(demos: Iterable[Demo], signature: type[dspy.Signature]) -> list[dspy.Example]:
    """Return the demos that DSPy would show, with the fields of the predictor only."""
    shown = []
    for demo in demos:
        fields = {name: demo[name] for name in signature.fields if name in demo}
        if fields.keys() & signature.input_fields.keys() and fields.keys() & signature.output_fields.keys():
            kept = {**fields, "augmented": True} if demo.get("augmented") else fields
            shown.append(dspy.Example(kept))
    return shown


def drop_repeated_sets(sets: Iterable[Sequence[dspy.Example]]) -> list[list[dspy.Example]]:
    """Return the sets without those that repeat an earlier one."""
    known: dict[str, list[dspy.Example]] = {}
    for demos in sets:
        known.setdefault(_key([demo.toDict() for demo in demos]), list(demos))
    return list(known.values())


def production_sets(
    runs: Sequence[PulledExample], program: dspy.Module, size: int, *, sets: int = 2, seed: int = 9
) -> DemoSets:
    """Return sets of demos from logged runs that people rated well, for each predictor of `program`.

    Args:
        runs: good runs of the training set, newest first.
        program: the program with the predictors. A program that is one predictor is logged without stages.
        size: demos per set.
        sets: how many sets: the newest runs, then random ones.
        seed: seeds the choice of the random ones.
    """
    rng = random.Random(seed)
    chosen = [list(runs), *(rng.sample(list(runs), len(runs)) for _ in range(sets - 1))]
    return {
        path: drop_repeated_sets(filter(None, (_demos(order, path, predict, size) for order in chosen)))
        for path, predict in program.named_predictors()
    }


def _demos(runs: Sequence[PulledExample], path: str, predict: dspy.Predict, size: int) -> list[dspy.Example]:
    demos: list[dspy.Example] = []
    for run in runs:
        if len(demos) >= size:
            break
        calls = [stage for stage in run.stages if stage.predictor == path] if run.stages else [run]
        made = [demo for demo in (to_demo(call, predict) for call in calls[-1:]) if demo is not None]
        demos += made
    return demos


class Sealed:
    """Inputs of validation and holdout examples, which no prompt may show."""

    def __init__(self, items: Iterable[Mapping[str, Any]]) -> None:
        """Seal `items`, the input fields of programs' runs and of their stages."""
        self._items: dict[tuple[str, ...], set[str]] = {}
        for inputs in items:
            names = tuple(sorted(inputs))
            self._items.setdefault(names, set()).add(_unordered([inputs[name] for name in names]))

    def holds(self, demo: Demo) -> bool:
        """Return whether a demo shows one of the sealed inputs."""
        return any(
            all(name in demo for name in names) and _unordered([demo[name] for name in names]) in known
            for names, known in self._items.items()
            if names
        )

    def without(self, demos: Iterable[dspy.Example]) -> list[dspy.Example]:
        """Return the demos that show no sealed input."""
        return [demo for demo in demos if not self.holds(demo.toDict())]


def stage_index(program: dspy.Module, stage: str | None) -> int | None:
    """Return the index of the predictor `stage` (its path, or the path's first part) in `program`; None for no stage.

    Raises:
        OptimizeError: no predictor has this path, or several do.
    """
    if stage is None:
        return None
    paths = [path for path, _ in program.named_predictors()]
    indexes = [index for index, path in enumerate(paths) if path == stage]
    indexes = indexes or [index for index, path in enumerate(paths) if path.partition(".")[0] == stage]
    if len(indexes) != 1:
        raise OptimizeError(f"no predictor {stage!r} to optimize; the program has {', '.join(paths)}.")
    return indexes[0]


def _key(value: Any) -> str:
    return canonical(serialize_for_json(value))


def _unordered(value: Any) -> str:
    """Return a text that is equal for objects with equal fields in any order.

    A log may order the fields of an object differently than a type does.
    """
    return json.dumps(serialize_for_json(value), sort_keys=True, default=str)
