"""The options and the result of an export."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dspy

from t0dspy.model import DemoPlace, Text
from t0dspy.parity.report import ParityReport
from t0dspy.parity.run_report import RunReport


@dataclass(frozen=True)
class ExportOptions:
    """The options of an export; each has a default."""

    name: str | None = None
    """The program's name at the gateway; the attribute's name by default."""
    state: Path | None = None
    """A state saved with `program.save("x.json")`."""
    model: str | None = None
    """The TensorZero model of the program's LM, such as `openai::gpt-4o-mini`."""
    models: Mapping[str, str] = field(default_factory=dict)
    """The same by name, if the program has several LMs: a predictor's path, an LM's name in DSPy such as
    `openai/gpt-4o` (with `@ADDRESS` if several have it), or the name of the attribute or variable that holds it."""
    lms: Mapping[str, str] = field(default_factory=dict)
    """The same for all programs of a project; a name that this program lacks is not an error."""
    keep: Sequence[str] = ()
    """The paths of predictors and modules that stay in Python."""
    adapter: Text | None = None
    """The adapter text; that of the configured DSPy adapter by default."""
    demos: DemoPlace | None = None
    """Where prompts have the demos: in the system message or as chat turns."""
    signature: str | type[dspy.Signature] | None = None
    """The program's contract, if it cannot be read from its code."""
    stages_only: bool = False
    """Omit the program function."""
    traffic: float | None = None
    """The new version's share of the traffic, from 0 to 1; by default 0, or 1 for the first version."""
    replaces: Sequence[str] = ()
    """Versions that lose their traffic to the new one; only used together with `traffic`."""
    breaking: bool = False
    """Allow a change of the contract: it gets a new function NAME_2, and the old functions stay."""
    import_path: str | None = None
    """The import path of an exported live object, for the program server."""
    dry_run: bool = False
    """Do everything except writing."""
    verify: bool = True
    """Verify wire equality before writing."""
    run_proof: bool = True
    """Also run the program in DSPy and served, on its demos and `examples`, which executes its code."""
    examples: Sequence[Mapping[str, Any]] = ()
    """Inputs of the program for the proof, flat objects of fields."""
    stage_timeout: float | None = None
    """The time limit of a predictor's call, in seconds."""
    run_timeout: float | None = None
    """The time limit of a run on the program server, in seconds."""
    scores: Mapping[str, Any] | None = None
    """The scores of an evaluation, for the manifest."""
    lineage: Mapping[str, Any] | None = None
    """How the version was created, for the manifest."""
    beside: Mapping[str, str] = field(default_factory=dict)
    """Additional files of the version, name -> text; the config does not use them."""


@dataclass(frozen=True)
class Export:
    """The result of an export, or with `dry_run` the result that it would have."""

    name: str
    version: str
    directory: Path
    unchanged: bool
    """True if `version` already exists and is equal to the program, so that nothing was written."""
    diff: str
    """The changes of the new version as a unified diff."""
    shares: Mapping[str, float]
    """Version -> share of the traffic, after this export is applied."""
    parity: ParityReport | None
    """The report of the verification; None if it was not requested or nothing is new."""
    runs: RunReport | None
    """The report on whole runs; None if the program was not run."""
    served_by: str | None
    """`gateway` or `programs`; None if only the stages were exported."""
    notes: Sequence[str]
    written: bool
    kept: Sequence[str] = ()
    """The paths of the predictors and modules that stay in Python."""
    hand_edited: bool = False
    """Whether a generated file of the version, or one that all versions share, was edited by hand."""
