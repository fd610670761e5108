"""The user's own function over every text of an example, before anything else sees it."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from t0dspy.errors import SettingsError
from t0dspy.flywheel.curate.step import Examples, Sieved
from t0dspy.flywheel.example import PulledExample

Redactor = Callable[[str], str]


def load_redactor(reference: str) -> Redactor:
    """The function at `reference`, such as `app.privacy:redact`.

    Raises:
        ProgramError: it cannot be imported.
        SettingsError: it is no function.
    """
    from t0dspy.program.load import import_attribute

    found = import_attribute(reference)
    if not callable(found):
        raise SettingsError(f"redact: {reference} is a {type(found).__name__}, not a function from text to text.")

    def redactor(text: str) -> str:
        try:
            redacted = found(text)
        except Exception as error:  # a user's function may raise anything, and its message may hold the user's text
            raise SettingsError(f"redact: {reference} raised {type(error).__name__}; nothing was curated.") from error
        if not isinstance(redacted, str):
            raise SettingsError(f"redact: {reference} gave {type(redacted).__name__}; it must give a text.")
        return redacted

    return redactor


def redacted(examples: Examples, redact: Redactor) -> Sieved:
    """The examples with `redact` over the texts of inputs, outputs, comments and stages."""
    kept = [_example(one, redact) for one in examples]
    changed = sum(new != old for new, old in zip(kept, examples, strict=True))
    return Sieved(kept, changed={"redacted": changed} if changed else {})


def _example(one: PulledExample, redact: Redactor) -> PulledExample:
    return replace(
        one,
        inputs=_value(one.inputs, redact),
        outputs=_value(one.outputs, redact),
        model_outputs=_value(one.model_outputs, redact),
        comments=_value(one.comments, redact),
        feedback=tuple(replace(said, value=_value(said.value, redact)) for said in one.feedback),
        stages=tuple(_example(stage, redact) for stage in one.stages),
    )


def _value(value: Any, redact: Redactor) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {key: _value(one, redact) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_value(one, redact) for one in value)
    return value
