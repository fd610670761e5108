"""The user's own data files: `trainset`, `valset` and `holdout`."""

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from t0dspy.errors import SettingsError
from t0dspy.flywheel.curate.identity import normalize
from t0dspy.flywheel.example import PulledExample
from t0dspy.flywheel.split.user_lines import read_json_lines


def read_own(path: Path, inputs: Collection[str]) -> Iterator[PulledExample]:
    """The examples in the JSON lines of `path`; blank lines are passed over.

    A flat object of fields is a person's: its other fields are the right answer, if it has any. A line of `t0dspy pull`
    is what it says it is, so what the model answered there is no right answer.

    Args:
        path: the file.
        inputs: the names of the program's input fields.

    Raises:
        SettingsError: the file cannot be read, or a line is no such object; says which.
    """
    for value, location in read_json_lines(path):
        _check_writable(value, location)
        yield _example(value, inputs, location)


def _check_writable(value: Mapping[str, Any], location: str) -> None:
    """Refuse what Python reads and cannot write as JSON: NaN, 1e999, and some depths of nesting."""
    try:
        json.dumps(normalize(value), allow_nan=False)
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{location}: not JSON ({error}). Write one object a line.") from error


def _example(value: Mapping[str, Any], inputs: Collection[str], where: str) -> PulledExample:
    if "inputs" not in inputs and isinstance(value.get("inputs"), dict):
        return PulledExample.from_object(value, where)
    given = {name: value[name] for name in inputs if name in value}
    if not given:
        raise SettingsError(f"{where}: has none of the inputs {', '.join(inputs)}; its keys are {', '.join(value)}.")
    answer = {name: one for name, one in value.items() if name not in given} or None
    return PulledExample(inputs=given, outputs=answer, model_outputs=None, demonstration=answer is not None)
