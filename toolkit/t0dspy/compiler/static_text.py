"""The static messages of a prompt: everything that DSPy sends beside the values of the inputs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dspy

from t0dspy.model import Text


@dataclass(frozen=True)
class StaticText:
    """The messages of a predictor's prompt, without inputs."""

    text: Text
    system: str
    turns: tuple[str, ...]
    """The demos, as user and assistant messages in turn; empty if the system message contains them."""
    reminder: str
    """The text below the inputs that describes the form of the answer."""


def static_text(adapter: Any, signature: type[dspy.Signature], demos: Sequence[Any], lm: Any) -> StaticText:
    """Return the static text that `adapter` writes.

    Args:
        adapter: a DSPy adapter; its own methods write the text.
        signature: the predictor's signature, with the optimized instructions.
        demos: the predictor's demos.
        lm: the predictor's LM, because DSPy leaves an output out of the prompt that the LM gives by itself, such as
            `dspy.Reasoning`; None if it is unknown.
    """
    processed = signature if lm is None else adapter._call_preprocess(lm, {}, signature, {})
    system, *turns, user = adapter.format(processed, [_as_mapping(demo) for demo in demos], {})
    return StaticText(text_of(adapter), system["content"], tuple(turn["content"] for turn in turns), user["content"])


def text_of(adapter: Any) -> Text:
    """Return the text that `adapter`, a stock adapter or one that folds demos, writes."""
    if isinstance(adapter, dspy.JSONAdapter):
        return "json"
    return "xml" if isinstance(adapter, dspy.XMLAdapter) else "chat"


def _as_mapping(demo: Any) -> Any:
    return demo if isinstance(demo, dspy.Example) else dict(demo)
