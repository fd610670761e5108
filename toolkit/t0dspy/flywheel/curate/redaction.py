"""Apply the user's redaction function to all text of an example before any other step sees it."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from t0dspy.errors import SettingsError
from t0dspy.flywheel.curate.step import Examples, StepResult
from t0dspy.flywheel.example import PulledExample

Redactor = Callable[[str], str]


def load_redactor(reference: str) -> Redactor:
    """Load the function at `reference`, such as `app.privacy:redact`.

    Raises:
        ProgramError: it cannot be imported.
        SettingsError: it is not a function.
    """
    from t0dspy.program.load import import_attribute

    function = import_attribute(reference)
    if not callable(function):
        raise SettingsError(f"redact: {reference} is a {type(function).__name__}, not a function from text to text.")

    def redactor(text: str) -> str:
        try:
            redacted = function(text)
        except (
            Exception
        ) as error:  # the function may raise anything; its message is left out because it may contain the user's text
            raise SettingsError(f"redact: {reference} raised {type(error).__name__}; nothing was curated.") from error
        if not isinstance(redacted, str):
            raise SettingsError(f"redact: {reference} returned {type(redacted).__name__}; it must return text.")
        return redacted

    return redactor


def redact_examples(examples: Examples, redact: Redactor) -> StepResult:
    """Apply `redact` to the text of inputs, outputs, comments and stages."""
    kept = [_redact_example(example, redact) for example in examples]
    changed = sum(new != old for new, old in zip(kept, examples, strict=True))
    return StepResult(kept, changed={"redacted": changed} if changed else {})


def _redact_example(example: PulledExample, redact: Redactor) -> PulledExample:
    return replace(
        example,
        inputs=_redact_value(example.inputs, redact),
        outputs=_redact_value(example.outputs, redact),
        model_outputs=_redact_value(example.model_outputs, redact),
        comments=_redact_value(example.comments, redact),
        feedback=tuple(replace(feedback, value=_redact_value(feedback.value, redact)) for feedback in example.feedback),
        stages=tuple(_redact_example(stage, redact) for stage in example.stages),
    )


def _redact_value(value: Any, redact: Redactor) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {key: _redact_value(item, redact) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_redact_value(item, redact) for item in value)
    return value
