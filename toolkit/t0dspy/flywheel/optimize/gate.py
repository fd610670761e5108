"""What an optimizer may put into a prompt, and which example each demo that it made came from."""

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
"""In place of an inference's id: the example is of a file of the user's."""


class Gate:
    """Lets pass what passes the screen; counts what it refuses."""

    def __init__(self, trusted: Iterable[Any] = (), characters: int = 0) -> None:
        """Texts in the values `trusted` pass anyway: the incumbent's prompts, and the user's own files.

        Args:
            trusted: any JSON values.
            characters: the most of a demo or an instruction; 0 for any number.
        """
        self._trusted = {text for value in trusted for text in texts_of(value) if screen(text, characters)}
        self._characters = characters
        self.refused: Counter[str] = Counter()
        """What was refused and why -> how many."""

    def demos(self, demos: Iterable[dspy.Example]) -> list[dspy.Example]:
        """Return the demos whose texts all pass."""
        return [demo for demo in demos if not self._refuses("a demo", demo.toDict())]

    def instruction(self, text: str, before: str) -> bool:
        """Return whether an instruction may replace `before`; it may imitate a prompt's structure only as that does."""
        reason = screen(text, self._characters)
        if reason is None or text in self._trusted or (reason == screen(before) != CONTROL):
            return True
        self.refused[f"an instruction: {reason}"] += 1
        return False

    def notes(self) -> list[str]:
        """Return a note for the report where something was refused."""
        if not self.refused:
            return []
        listed = "; ".join(f"{count:,} times {reason}" for reason, count in sorted(self.refused.items()))
        return [f"the screen refused what the search proposed: {listed}."]

    def _refuses(self, name: str, value: Any) -> bool:
        texts = [text for text in texts_of(serialize_for_json(value)) if text not in self._trusted]
        reason = next((reason for text in texts if (reason := screen(text, self._characters))), None)
        if reason:
            self.refused[f"{name}: {reason}"] += 1
        return reason is not None


class Sources:
    """Remembers from which training example a bootstrapped demo was made.

    DSPy's bootstrapping keeps the steps of a run and not the example; the metric sees both.
    """

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}

    def watched(self, metric: Callable[..., Any]) -> Callable[..., Any]:
        """Return `metric`, which notes the steps of every run that it is shown with a trace."""

        def watched(example: Any, prediction: Any, trace: Any = None) -> Any:
            for predictor, inputs, _ in trace or ():
                self._ids.setdefault(inputs_key(inputs, signature_of(predictor)), example.get(ID) or OWN_FILE)
            return metric(example, prediction, trace)

        return watched

    def id_of(self, key: str) -> str | None:
        """Return the inference's id for the `inputs_key` of a demo; None where no run had such a step."""
        return self._ids.get(key)


def inputs_key(fields: Mapping[str, Any], signature: type[dspy.Signature]) -> str:
    """Return a text that is equal for equal inputs of a predictor."""
    shown = {name: fields[name] for name in sorted(signature.input_fields) if name in fields}
    return json.dumps(serialize_for_json(shown), sort_keys=True, default=str)
