"""Find the origin of each new demo of a version, for the person who reviews it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import dspy
from dspy.adapters.utils import serialize_for_json

from t0dspy.compiler.introspect import signature_of
from t0dspy.flywheel.example import PulledExample
from t0dspy.flywheel.optimize.candidates import prompts_of
from t0dspy.flywheel.optimize.gate import OWN_FILE, Sources, inputs_key
from t0dspy.model import canonical

UNNAMED = "an unnamed rater"
"""Used as the rater's name if no tag of the feedback or the inference names one."""


@dataclass(frozen=True)
class DemoOrigin:
    """A demo that the incumbent does not have, and the example that it was made from."""

    predictor: str
    number: int
    """The position of the demo in the predictor's demos, from 1."""
    source: str
    """`production`, `a file of yours`, or `unknown`."""
    answer: str
    """Whose answer it shows.

    A person's correction, a logged answer, or the model's answer in a run of the optimizer.
    """
    inference_id: str | None = None
    version: str | None = None
    user: str | None = None
    """The user of the inference."""
    raters: tuple[str, ...] = ()
    """The raters who rated or corrected it."""
    time: str | None = None


def demo_origins(
    incumbent: dspy.Module,
    challenger: dspy.Module,
    train: Sequence[PulledExample],
    sources: Sources,
    user_tag: str = "user_id",
) -> list[DemoOrigin]:
    """Return the origin of each demo that `challenger` has and `incumbent` does not.

    Args:
        incumbent: the version that serves.
        challenger: the program that the optimizer made of it.
        train: the examples that the optimizer had.
        sources: the runs that it made from them.
        user_tag: the tag that names the user of an inference.
    """
    before, after = prompts_of(incumbent), prompts_of(challenger)
    origins = []
    for path, predict in challenger.named_predictors():
        signature = signature_of(predict)
        known = {_plain(demo) for demo in before[path]["demos"]}
        logged = _by_inputs(train, path, signature)
        for number, demo in enumerate(after[path]["demos"], 1):
            if _plain(demo) not in known:
                origins.append(_origin(demo, path, number, signature, logged, train, sources, user_tag))
    return origins


def _origin(
    demo: Mapping[str, Any],
    path: str,
    number: int,
    signature: type[dspy.Signature],
    logged: Mapping[str, tuple[PulledExample, PulledExample]],
    train: Sequence[PulledExample],
    sources: Sources,
    user_tag: str,
) -> DemoOrigin:
    key = inputs_key(demo, signature)
    if key in logged:
        run, step = logged[key]
        return _of_example(run, path, number, _answer(demo, step, signature), user_tag)
    id = sources.id_of(key)
    answer = "the model's, in a run of the optimizer"
    if id == OWN_FILE:
        return DemoOrigin(path, number, "a file of yours", answer)
    example = next((each for each in train if each.inference_id == id), None) if id else None
    return (
        _of_example(example, path, number, answer, user_tag) if example else DemoOrigin(path, number, "unknown", answer)
    )


def _of_example(example: PulledExample, path: str, number: int, answer: str, user_tag: str) -> DemoOrigin:
    if example.inference_id is None:
        return DemoOrigin(path, number, "a file of yours", answer)
    raters = {feedback.rater or UNNAMED for feedback in example.feedback if feedback.metric != "comment"}
    return DemoOrigin(
        path,
        number,
        "production",
        answer,
        example.inference_id,
        example.variant,
        example.tags.get(user_tag),
        tuple(sorted(raters)),
        example.timestamp,
    )


def _answer(demo: Mapping[str, Any], step: PulledExample, signature: type[dspy.Signature]) -> str:
    shown = {name: demo[name] for name in signature.output_fields if name in demo}
    outputs = step.outputs or {}
    if demo.get("augmented") and not _agrees(shown, outputs):
        return "the model's, in a run of the optimizer"
    if not step.demonstration:
        return "the logged one"
    raters = [feedback.rater or UNNAMED for feedback in step.feedback if feedback.metric == "demonstration"]
    return f"a correction by {', '.join(sorted(set(raters)))}" if raters else "a person's"


def _agrees(shown: Mapping[str, Any], outputs: Mapping[str, Any]) -> bool:
    return all(_plain(outputs.get(name)) == _plain(value) for name, value in shown.items())


def _by_inputs(
    train: Iterable[PulledExample], path: str, signature: type[dspy.Signature]
) -> dict[str, tuple[PulledExample, PulledExample]]:
    """Return inputs of the predictor -> the logged run and its step."""
    by_inputs: dict[str, tuple[PulledExample, PulledExample]] = {}
    for run in train:
        for step in _steps(run, path):
            by_inputs.setdefault(inputs_key(step.inputs, signature), (run, step))
    return by_inputs


def _steps(run: PulledExample, path: str) -> Iterator[PulledExample]:
    yield from (stage for stage in run.stages if stage.predictor == path)
    yield run if not run.stages else replace(run, outputs=None, demonstration=False)


def _plain(value: Any) -> str:
    return canonical(serialize_for_json(value))
