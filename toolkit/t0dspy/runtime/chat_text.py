"""Write output fields as a model writes them, in the text form that the parsers of DSPy's adapters read."""

import json
from collections.abc import Mapping
from typing import Any

from t0dspy.model import Text


def answer_in(text: Text, outputs: Mapping[str, Any]) -> str:
    """Return `outputs`, which are JSON values, as an assistant message in the adapter text `text`."""
    if text == "json":
        return json.dumps(outputs, ensure_ascii=False)
    return xml_text(outputs) if text == "xml" else chat_text(outputs)


def chat_text(outputs: Mapping[str, Any]) -> str:
    """Return `outputs`, which are JSON values, as an assistant message in ChatAdapter's form."""
    sections = [f"[[ ## {name} ## ]]\n{_printed(value)}\n" for name, value in outputs.items()]
    return "\n".join([*sections, "[[ ## completed ## ]]\n"])


def xml_text(outputs: Mapping[str, Any]) -> str:
    """Return `outputs`, which are JSON values, as an assistant message in XMLAdapter's form."""
    import dspy

    return "\n\n".join(dspy.XMLAdapter._value_to_xml(value, name) for name, value in outputs.items())


def _printed(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)
