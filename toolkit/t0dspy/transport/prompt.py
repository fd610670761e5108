"""Find the exported variant whose prompt DSPy wants to send."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dspy

from t0dspy.artifact.manifest import PredictorEntry
from t0dspy.compiler.arguments import Arguments
from t0dspy.compiler.static_text import StaticText
from t0dspy.errors import ProgramError
from t0dspy.model import Text


@dataclass(frozen=True)
class Prompt:
    """One exported text of a predictor: its static messages, and how to send its inputs."""

    static: StaticText
    arguments: Arguments

    def holds(self, contents: Sequence[Any]) -> bool:
        """Return whether all messages but the input message are those of this text."""
        static = self.static
        return (
            len(contents) == len(static.turns) + 2
            and contents[0] == static.system
            and [*contents[1:-1]] == list(static.turns)
        )

    def message(self, fields: str) -> str:
        """Return the input message with the text `fields`, as DSPy writes it."""
        return "\n\n".join(part for part in (fields, self.static.reminder) if part).strip()


@dataclass(frozen=True)
class ServedPredictor:
    """A predictor of an exported version."""

    path: str
    """DSPy's path of the predictor, or of the kept module."""
    entry: PredictorEntry
    prompts: Sequence[Prompt] = ()
    """The exported text first, then that of the JSON fallback; empty for a kept predictor."""
    signature: type[dspy.Signature] | None = None
    """The signature with the version's instructions; None for a kept predictor."""
    demos: Sequence[Any] = ()

    def static(self, text: Text, signature: Any) -> StaticText | None:
        """Return what DSPy's own code wrote for `signature` in this adapter text when the version was loaded."""
        if signature is not self.signature:
            return None
        return next((prompt.static for prompt in self.prompts if prompt.static.text == text), None)

    def find(self, contents: Sequence[Any]) -> int:
        """Return the index of the prompt that DSPy wants to send.

        Raises:
            ProgramError: no exported prompt has these messages; the message names the first difference.
        """
        for index, prompt in enumerate(self.prompts):
            if prompt.holds(contents):
                return index
        subject = "the predictor" if self.path == "self" else f"predictor {self.path!r}"
        raise ProgramError(
            f"{subject} was about to send a prompt that is not the exported one: "
            f"{self._difference(contents)}. The program changed its signature, demos or adapter at run time. Export "
            f"the prompt that it sends, or keep the predictor in Python with --keep {self.path}."
        )

    def _difference(self, contents: Sequence[Any]) -> str:
        static = self.prompts[0].static
        exported = [static.system, *static.turns]
        if len(contents) - 1 != len(exported):
            return f"it has {len(contents) - 1} messages before the input, and the exported one has {len(exported)}"
        for index, (current, text) in enumerate(zip(contents, exported, strict=False)):
            if current != text:
                kind = "the system message" if index == 0 else f"message {index} (a demo)"
                return f"{kind} differs{_first_difference(current, text)}"
        return "its messages differ"


def _first_difference(current: Any, exported: str) -> str:
    """Return where two texts begin to differ, without values that a user may have given."""
    if not isinstance(current, str):
        return ", because it has parts other than text"
    lines = zip(current.splitlines(), exported.splitlines(), strict=False)
    number = next((number for number, (left, right) in enumerate(lines, 1) if left != right), None)
    return f" from its line {number}" if number else " in its length"
