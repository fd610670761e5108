"""Refuse text that may not enter a prompt, and remember which example each bootstrapped demo was made from."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import dspy
from dspy.adapters.utils import serialize_for_json

from t0dspy.compiler.introspect import signature_of
from t0dspy.flywheel.curate.screen import CONTROL, screen, texts_of
from t0dspy.flywheel.to_dspy import ID

OWN_FILE = ""
"""Used instead of an inference's id if the example is from a file of the user's."""


class Gate:
    """Admits text that passes the screen, and counts what it refuses."""

    def __init__(self, trusted: Iterable[Any] = (), characters: int = 0) -> None:
        """Admit all text in the values `trusted`: the incumbent's prompts, and the user's own files.

        Args:
            trusted: any JSON values.
            characters: the most characters of a demo or an instruction; 0 for no limit.
        """
        self._trusted = {text for value in trusted for text in texts_of(value) if screen(text, characters)}
        self._characters = characters
        self.refused: Counter[str] = Counter()
        """Kind of text and reason -> how many were refused."""

    def admit_demos(self, demos: Iterable[dspy.Example]) -> list[dspy.Example]:
        """Return the demos whose texts all pass."""
        return [demo for demo in demos if not self._refuses("a demo", demo.toDict())]

    def admits_instruction(self, text: str, before: str) -> bool:
        """Return whether an instruction may replace `before`.

        It may imitate the structure of a prompt only if `before` does.
        """
        reason = screen(text, self._characters)
        if reason is None or text in self._trusted or (reason == screen(before) != CONTROL):
            return True
        self.refused[f"an instruction: {reason}"] += 1
        return False

    def notes(self) -> list[str]:
        """Return a note for the report if something was refused."""
        if not self.refused:
            return []
        listed = "; ".join(f"{count:,} times {reason}" for reason, count in sorted(self.refused.items()))
        return [f"the screen refused text that the search proposed: {listed}."]

    def _refuses(self, name: str, value: Any) -> bool:
        texts = [text for text in texts_of(serialize_for_json(value)) if text not in self._trusted]
        reason = next((reason for text in texts if (reason := screen(text, self._characters))), None)
        if reason:
            self.refused[f"{name}: {reason}"] += 1
        return reason is not None


class Sources:
    """Remembers which training example each bootstrapped demo was made from.

    DSPy's bootstrapping keeps the steps of a run but not its example; the metric sees both.
    """

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}

    def watch(self, metric: Callable[..., Any]) -> Callable[..., Any]:
        """Return `metric` wrapped so that the steps of every run with a trace are remembered."""

        def watched(example: Any, prediction: Any, trace: Any = None) -> Any:
            for predictor, inputs, _ in trace or ():
                self._ids.setdefault(inputs_key(inputs, signature_of(predictor)), example.get(ID) or OWN_FILE)
            return metric(example, prediction, trace)

        return watched

    def id_of(self, key: str) -> str | None:
        """Return the inference's id for the `inputs_key` of a demo; None if no run had such a step."""
        return self._ids.get(key)


def inputs_key(fields: Mapping[str, Any], signature: type[dspy.Signature]) -> str:
    """Return a text that is equal for equal inputs of a predictor."""
    shown = {name: fields[name] for name in sorted(signature.input_fields) if name in fields}
    return json.dumps(serialize_for_json(shown), sort_keys=True, default=str)
