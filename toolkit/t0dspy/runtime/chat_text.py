"""Write output fields in the text form that DSPy's ChatAdapter parses."""

import json
from collections.abc import Mapping
from typing import Any


def chat_text(outputs: Mapping[str, Any]) -> str:
    """Return `outputs`, which are JSON values, as an assistant message in ChatAdapter's form."""
    sections = [f"[[ ## {name} ## ]]\n{_printed(value)}\n" for name, value in outputs.items()]
    return "\n".join([*sections, "[[ ## completed ## ]]\n"])


def _printed(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)
