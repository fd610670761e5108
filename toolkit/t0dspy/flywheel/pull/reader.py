"""Read input and output fields from the JSON of a stored inference."""

import json
from collections.abc import Callable
from typing import Any

from t0dspy.artifact.text_values import to_plain
from t0dspy.flywheel.pull.schema_check import fits
from t0dspy.model import Schema, Text
from t0dspy.runtime.functions import fields_reader

Fields = dict[str, Any]

_DECODER = json.JSONDecoder()


class Reader:
    """Reads the inferences of one function."""

    def __init__(self, type: Text, inputs: Schema, outputs: Schema) -> None:
        """Read inferences of a function with this type and these schemas."""
        self._type, self._outputs = type, outputs
        self._known = frozenset(outputs["properties"])
        self.accepts_inputs, self.accepts_outputs = fits(inputs), fits(outputs)
        self._parsers: dict[Text, Callable[[str], Fields | None]] = {}

    def arguments(self, stored: str) -> Fields | None:
        """Return the input fields of a call, with the values behind texts; None if the call had no fields."""
        try:
            block = _stored(stored)["messages"][-1]["content"][-1]
            fields = block.get("arguments", block.get("value"))
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return None
        return to_plain(fields) if isinstance(fields, dict) else None

    def answer(self, stored: str, *, as_json: bool = False) -> Fields | None:
        """Return the output fields of an answer; None if DSPy's parser cannot read it.

        The gateway's own parsed output is used if it fits the schema.

        Args:
            stored: the answer as JSON.
            as_json: whether the model was asked for JSON, as DSPy's JSON fallback does, by a function of another type.
        """
        try:
            output = _stored(stored)
            if self._type != "json":
                text = "".join(block.get("text") or "" for block in output)
                return self._read(text, "json" if as_json else self._type)
            parsed = output.get("parsed")
            if isinstance(parsed, dict) and self.accepts_outputs(parsed):
                return parsed
            return self._read(output.get("raw") or "", "json")
        except (ValueError, TypeError, AttributeError, RecursionError):
            return None

    def demonstration(self, stored: str, filled: str) -> Fields | None:
        """Return the fields of a demonstration that a person gave; None if it cannot be read."""
        fields = self.answer(stored)
        if fields is None or not filled:
            return fields
        nobodys = set(filled.split(","))
        return {name: value for name, value in fields.items() if name not in nobodys}

    def _read(self, answer: str, text: Text) -> Fields | None:
        if text not in self._parsers:
            self._parsers[text] = fields_reader(self._outputs, text)
        fields = self._parsers[text](answer)
        return fields if fields is not None and self.accepts_outputs(fields) else None


def _stored(text: str) -> Any:
    """Decode JSON that the gateway wrote, without blanks around it, in half the time of `json.loads`."""
    return _DECODER.raw_decode(text)[0]
