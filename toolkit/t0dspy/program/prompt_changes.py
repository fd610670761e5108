"""Compare the prompts of an exported version with those that the installed DSPy writes."""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass

import dspy

from t0dspy.artifact.exported import ExportedProgram
from t0dspy.compiler.adapters import adapters_of
from t0dspy.compiler.introspect import lm_of, signature_of
from t0dspy.compiler.prompt_templates import prompt_templates
from t0dspy.compiler.static_text import static_text
from t0dspy.errors import shown
from t0dspy.model import Text
from t0dspy.program.dspy_version import installed_dspy


@dataclass(frozen=True)
class PromptChange:
    """A message of a predictor's prompt that the installed DSPy writes in another way."""

    path: str
    """DSPy's path of the predictor."""
    text: Text
    message: str
    """The name of the template, such as `system`."""
    diff: str
    """The exported message and the one that DSPy writes now, as a unified diff."""


def prompt_changes(exported: ExportedProgram, version: str, program: dspy.Module) -> list[PromptChange]:
    """Return the messages that the installed DSPy writes differently from those of `version`.

    Args:
        exported: the exported program.
        version: the version.
        program: the live program with the instructions and demos of the version.

    Raises:
        HandEditedError: a template is gone.
    """
    entry = exported.version(version)
    predictors = dict(program.named_predictors())
    stages = {path: stage for path, stage in entry.predictors.items() if stage.texts}
    changes: list[PromptChange] = []
    for path, stage in stages.items():
        adapters = adapters_of(entry.form, entry.adapter)
        directory = f"{version}/{_prefix(exported.name, stage.function)}"
        for index, (adapter, text) in enumerate(zip(adapters, stage.texts, strict=False)):
            signature, demos = signature_of(predictors[path]), predictors[path].demos
            static = static_text(adapter, signature, demos, lm_of(predictors[path]))
            for name, now in prompt_templates(path, signature, static).items():
                before = exported.file(f"{directory}{'json.' if index else ''}{name}.minijinja")
                if before != now:
                    changes.append(PromptChange(path, text, name, _diff(before, now)))
    return changes


def _prefix(program: str, function: str) -> str:
    return "" if function == program else function.removeprefix(f"{program}__") + "."


def explain_changes(exported: ExportedProgram, version: str, changes: list[PromptChange]) -> str:
    """Return a message with every change, for the user who upgraded DSPy."""
    entry = exported.version(version)
    lead = (
        f"{exported.name} {version} was exported with DSPy {entry.dspy}, and DSPy {installed_dspy()} is installed, "
        f"which writes {len(changes)} of its messages differently. Evaluate the program with the new prompts and "
        "export it again, or install the old version of DSPy."
    )
    return "\n".join([lead, *_shown(changes)])


def _shown(changes: list[PromptChange]) -> Iterator[str]:
    for change in changes:
        yield f"{shown(change.path)}, {change.text} text, message {change.message!r}:\n{change.diff}"


def _diff(before: str, now: str) -> str:
    lines = difflib.unified_diff(before.splitlines(), now.splitlines(), "exported", "DSPy now", lineterm="", n=1)
    return "\n".join(lines)
