"""The golden corpus: programs written for the purpose, the forms each is exported in, and how to read what is written.

A program lives in `programs/NAME/program.py`; what `t0dspy export` writes for it, in `programs/NAME/expected/FORM`.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dspy
import pytest

import t0dspy
from t0dspy.artifact.bundle import MANIFEST, read_tree
from t0dspy.model import PromptForm
from t0dspy.program.load import load_program

PROGRAMS = Path(__file__).parents[1] / "programs"

CHAT_TURNS, CHAT_SYSTEM = PromptForm("chat", "turns"), PromptForm("chat", "system")
JSON_TURNS, JSON_SYSTEM = PromptForm("json", "turns"), PromptForm("json", "system")
XML_TURNS, XML_SYSTEM = PromptForm("xml", "turns"), PromptForm("xml", "system")
EVERY_FORM = (CHAT_TURNS, CHAT_SYSTEM, JSON_TURNS, JSON_SYSTEM, XML_TURNS, XML_SYSTEM)
MOST_FORMS = (CHAT_TURNS, CHAT_SYSTEM, JSON_TURNS, JSON_SYSTEM)

FORMS: dict[str, tuple[PromptForm, ...]] = {
    "plain": (CHAT_TURNS, JSON_SYSTEM),
    "chain_of_thought": MOST_FORMS,
    "typed": (CHAT_TURNS, JSON_TURNS, XML_TURNS),
    "choices": (CHAT_SYSTEM, JSON_TURNS),
    "nested": (CHAT_TURNS, JSON_TURNS),
    "untyped": (CHAT_TURNS, JSON_SYSTEM),
    "react": (CHAT_TURNS, JSON_TURNS),
    "five_stages": MOST_FORMS,
    "containers": (CHAT_TURNS,),
    "best_of_n": (CHAT_TURNS, JSON_TURNS),
    "comparison": (CHAT_SYSTEM, JSON_TURNS),
    "ensemble": (CHAT_SYSTEM, JSON_TURNS),
    "shared": (CHAT_TURNS,),
    "odd_names": (CHAT_TURNS, JSON_SYSTEM),
    "hostile_text": EVERY_FORM,
    "demos": EVERY_FORM,
    "sampling": (CHAT_TURNS, JSON_SYSTEM),
    "optional_inputs": (CHAT_SYSTEM, JSON_TURNS, XML_SYSTEM),
    "twenty": (JSON_TURNS,),
}
"""Program -> its forms. Programs with demos come in most or all, since only demos make the places differ."""

OPTIONS: dict[str, dict[str, Any]] = {
    "untyped": {"signature": "context: list[str], question: str -> answer: str"},
    "containers": {"signature": "text: str -> language: str"},
    "sampling": {"model": None},
    "twenty": {"stages_only": True},
}
"""What a program's export is told besides its form."""


WARNINGS = {
    "comparison": "ignore:The 'prefix' argument:DeprecationWarning",  # DSPy's own, inside MultiChainComparison
    "odd_names": "ignore:Field name .* shadows an attribute:UserWarning",
}
"""What DSPy and pydantic say about a program on purpose."""


@dataclass(frozen=True)
class Case:
    """One program in one form."""

    name: str
    form: PromptForm

    @property
    def id(self) -> str:
        return f"{self.name}-{self.form.adapter}-{self.form.demos}"

    @property
    def expected(self) -> Path:
        return PROGRAMS / self.name / "expected" / f"{self.form.adapter}-{self.form.demos}"

    def program(self) -> dspy.Module:
        return load_program(self.reference)

    @property
    def reference(self) -> str:
        return f"programs.{self.name}.program:program"

    def export(self, configs: Path) -> dict[str, str]:
        """Export the program below `configs`, unverified; the written files."""
        told = {"model": "openai::gpt-4o-mini", "verify": False, **OPTIONS.get(self.name, {})}
        form = {"adapter": self.form.adapter, "demos": self.form.demos}
        with dspy.context(lm=dspy.LM("openai/gpt-4o-mini")):
            t0dspy.export(self.reference, configs, name=self.name, **form, **told)
        return read_tree(configs / "programs" / self.name)


CASES = [Case(name, form) for name, forms in FORMS.items() for form in forms]


def each_case() -> list[Any]:
    """Every case as a pytest parameter."""
    return [pytest.param(case, id=case.id, marks=_marks(case)) for case in CASES]


def _marks(case: Case) -> list[Any]:
    return [pytest.mark.filterwarnings(WARNINGS[case.name])] if case.name in WARNINGS else []


def golden(files: dict[str, str]) -> dict[str, str]:
    """`files` without what is not the compiler's: the time, the versions of DSPy and t0dspy.

    The hashes of files go too, since the files themselves are compared. The other hashes stay: if how they are made
    changes, every program of every user gets a new version or a new function, which must not happen unseen.
    """
    manifest = json.loads(files[MANIFEST])
    manifest["files"] = {}
    for version in manifest["versions"].values():
        version |= {"created": "2000-01-01T00:00:00Z", "dspy": "3.4", "t0dspy": "0"}
    for change in manifest.get("history", ()):
        change["time"] = "2000-01-01T00:00:00Z"
    return {**files, MANIFEST: json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"}
