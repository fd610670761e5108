"""A stored inference's JSON as input and output fields."""

import json
from collections.abc import Callable
from typing import Any

from t0dspy.flywheel.pull.schema_check import fits
from t0dspy.model import Schema, Text
from t0dspy.runtime.functions import fields_reader

Fields = dict[str, Any]

_DECODER = json.JSONDecoder()


class Reader:
    """Reads the inferences of one function."""

    def __init__(self, type: Text, inputs: Schema, outputs: Schema) -> None:
        """`type` and the schemas are those of the function."""
        self._type, self._outputs = type, outputs
        self._known = frozenset(outputs["properties"])
        self.takes, self.gives = fits(inputs), fits(outputs)
        self._parse: Callable[[str], Fields | None] | None = None

    def arguments(self, stored: str) -> Fields | None:
        """The input fields of a call; None where it was not a call with fields."""
        try:
            block = _stored(stored)["messages"][-1]["content"][-1]
            fields = block.get("arguments", block.get("value"))
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return None
        return fields if isinstance(fields, dict) else None

    def answer(self, stored: str) -> Fields | None:
        """The output fields of an answer; None where DSPy's parser reads none.

        What the gateway parsed is used where there is such.
        """
        try:
            output = _stored(stored)
            if self._type == "chat":
                return self._read("".join(block.get("text") or "" for block in output))
            parsed = output.get("parsed")
            if isinstance(parsed, dict) and self.gives(parsed):
                return parsed
            return self._read(output.get("raw") or "")
        except (ValueError, TypeError, AttributeError, RecursionError):
            return None

    def demonstration(self, stored: str, filled: str) -> Fields | None:
        """The fields of a demonstration that a person gave; None where it cannot be read."""
        fields = self.answer(stored)
        if fields is None or not filled:
            return fields
        nobodys = set(filled.split(","))
        return {name: value for name, value in fields.items() if name not in nobodys}

    def _read(self, text: str) -> Fields | None:
        if self._parse is None:
            self._parse = fields_reader(self._outputs, self._type)
        fields = self._parse(text)
        return fields if fields is not None and self.gives(fields) else None


def _stored(text: str) -> Any:
    """JSON as the gateway wrote it, without blanks around it; half the time of `json.loads`."""
    return _DECODER.raw_decode(text)[0]
