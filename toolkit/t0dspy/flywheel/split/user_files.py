"""Read the user's own data files: `trainset`, `valset` and `holdout`."""

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from t0dspy.errors import SettingsError
from t0dspy.flywheel.curate.identity import normalize
from t0dspy.flywheel.example import PulledExample
from t0dspy.flywheel.split.user_lines import read_json_lines


def read_user_examples(path: Path, inputs: Collection[str]) -> Iterator[PulledExample]:
    """Yield the examples in a file of JSON lines; blank lines are skipped.

    The other fields of a flat object are the right answer, which a person gave. In a line of `t0dspy pull`, only a
    demonstration is a right answer, not the model's own answer.

    Args:
        path: the file.
        inputs: the names of the program's input fields.

    Raises:
        SettingsError: the file cannot be read, or a line is not such an object; the message names the line.
    """
    for value, location in read_json_lines(path):
        _check_writable(value, location)
        yield _example(value, inputs, location)


def _check_writable(value: Mapping[str, Any], location: str) -> None:
    """Refuse values that Python reads but cannot write as JSON: NaN, 1e999, and some depths of nesting."""
    try:
        json.dumps(normalize(value), allow_nan=False)
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{location}: not JSON ({error}). Write one object a line.") from error


def _example(value: Mapping[str, Any], inputs: Collection[str], location: str) -> PulledExample:
    if "inputs" not in inputs and isinstance(value.get("inputs"), dict):
        return PulledExample.from_object(value, location)
    given = {name: value[name] for name in inputs if name in value}
    if not given:
        raise SettingsError(f"{location}: has none of the inputs {', '.join(inputs)}; its keys are {', '.join(value)}.")
    answer = {name: field for name, field in value.items() if name not in given} or None
    return PulledExample(inputs=given, outputs=answer, model_outputs=None, demonstration=answer is not None)
