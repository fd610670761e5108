"""What an export may be told, and what it did."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dspy

from t0dspy.model import DemoPlace, Text
from t0dspy.parity.report import ParityReport


@dataclass(frozen=True)
class ExportOptions:
    """What an export may be told; everything has a default."""

    name: str | None = None
    """The program's name at the gateway; by default the attribute's name."""
    state: Path | None = None
    """A state saved with `program.save("x.json")`."""
    model: str | None = None
    """The TensorZero model of every predictor, such as `openai::gpt-4o-mini`."""
    adapter: Text | None = None
    demos: DemoPlace | None = None
    signature: str | type[dspy.Signature] | None = None
    """The program's own contract, where its code leaves it open."""
    stages_only: bool = False
    traffic: float | None = None
    """The new version's share; by default none, unless it is the first."""
    replaces: Sequence[str] = ()
    """Versions that lose their traffic to the new one; they count only where `traffic` is given."""
    breaking: bool = False
    """Let the program's contract change: a new function NAME_2, every old one kept."""
    import_path: str | None = None
    """Where the program server imports the program from, when a live object is exported."""
    dry_run: bool = False
    """Do everything but write."""
    verify: bool = True
    stage_timeout: float | None = None
    run_timeout: float | None = None
    scores: Mapping[str, Any] | None = None
    """What an evaluation said of it, for the manifest."""
    lineage: Mapping[str, Any] | None = None
    """How it was made, for the manifest."""
    beside: Mapping[str, str] = field(default_factory=dict)
    """File -> text, put beside the version's own files; no config reads them."""


@dataclass(frozen=True)
class Export:
    """What an export did, or with `dry_run` would do."""

    name: str
    version: str
    directory: Path
    unchanged: bool
    """True when `version` exists already and equals the program; then nothing was written."""
    diff: str
    """What the new version changes, as a unified diff."""
    shares: Mapping[str, float]
    """The traffic after this export, once it is applied."""
    parity: ParityReport | None
    """The proof; None when it was not asked for, or nothing is new."""
    served_by: str | None
    notes: Sequence[str]
    written: bool
    hand_edited: bool = False
    """Whether a generated file of the version was changed by hand, or one that all versions share."""
