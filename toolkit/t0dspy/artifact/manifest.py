"""`manifest.json`: the versions of a program, the function of each predictor, and the hash of each generated file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from localkit.json_shape import to_dataclass
from t0dspy.artifact.names import check_version_name
from t0dspy.artifact.variants import version_of
from t0dspy.errors import BundleError, SettingsError
from t0dspy.model import LmEntry, PromptForm, Text, canonical

FORMAT = 1


@dataclass(frozen=True)
class FunctionEntry:
    """A TensorZero function of the program; once exported, it never changes."""

    predictor: str | None
    """DSPy's path of the predictor it holds; None for the program function."""
    type: Text
    input_schema: str
    """Path of the schema file, relative to the program's directory."""
    output_schema: str
    """The same; the gateway does not use the output schema of a function of type chat."""
    fingerprint: str
    """A hash of the contract: equal for functions with equal contracts."""
    takes_text: bool = False
    """Whether the input schema also takes text values (`artifact.text_values`)."""
    blank: bool = False
    """Whether the function has no schema and no templates, as that of a kept predictor; its paths are empty."""


@dataclass(frozen=True)
class PredictorEntry:
    """The function, model and sampling of a predictor in one version."""

    function: str
    model: str
    sampling: Mapping[str, Any]
    """Variant keys such as temperature; `json_mode` belongs to the contract and is not among them."""
    demo_turns: int
    """Pairs of static templates `demo_1_user`, `demo_1_assistant` ... that a caller sends before the input."""
    lm: str | None = None
    """The version's name of the predictor's own LM in DSPy; None if no LM was set at the export."""
    texts: Sequence[Text] = ()
    """The adapter texts that have variants: the exported text, then that of DSPy's JSON fallback. Empty for a kept
    predictor, and for a version that an older t0dspy exported, whose templates also take no text values."""
    kept: bool = False
    """Whether the predictor, or module, runs in Python: its function has no templates, and DSPy writes its prompt."""


@dataclass(frozen=True)
class VersionEntry:
    """An exported version."""

    content_hash: str
    """A hash of everything that defines the version: equal for equal programs."""
    code_hash: str | None
    """A hash of the program's source; None if the program server does not run the version."""
    parent: str | None
    """The version that had the most traffic when this one was made."""
    created: str
    dspy: str
    t0dspy: str
    form: PromptForm
    served_by: str | None
    """`gateway` (no Python), `programs` (the program server), or None if only the stages were exported."""
    predictors: Mapping[str, PredictorEntry]
    scores: Mapping[str, Any] | None = None
    lineage: Mapping[str, Any] | None = None
    lms: Mapping[str, LmEntry] = field(default_factory=dict)
    """Name in variants -> LM. A predictor's variant for an LM other than its own is `v1__NAME`."""
    adapter: Mapping[str, Any] = field(default_factory=dict)
    """The options of the DSPy adapter that differ from its defaults, such as `use_json_adapter_fallback`."""

    @property
    def runs_on_server(self) -> bool:
        """Return whether the program server runs it."""
        return self.served_by == "programs"


@dataclass(frozen=True)
class Change:
    """A change of a program's traffic."""

    time: str
    """RFC 3339, UTC."""
    reason: str
    before: Mapping[str, float]
    """Version -> share, as `rollout.toml` had them."""
    after: Mapping[str, float]
    undo: bool = False
    """True for a rollback, which goes back to an earlier incumbent and does not add a new one."""


@dataclass(frozen=True)
class Manifest:
    """The content of `manifest.json`."""

    name: str
    program: str | None
    """Import path of the program, such as `app.review:program`; None if it was exported from a live object."""
    deadlines: Mapping[str, float]
    """Seconds: `stage`, `run` and `program`, each longer than the one before."""
    functions: Mapping[str, FunctionEntry] = field(default_factory=dict)
    versions: Mapping[str, VersionEntry] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    """Path -> SHA-256 of every generated file, so that an edit by hand is noticed."""
    history: Sequence[Change] = ()
    """How the traffic changed, oldest first."""

    @property
    def newest(self) -> str | None:
        """Return the version that was exported last; None before the first export."""
        return next(reversed(list(self.versions)), None)

    def next_version(self) -> str:
        """Return the name of the next version: `v1`, `v2` ..."""
        return f"v{len(self.versions) + 1}"

    @property
    def stages(self) -> list[str]:
        """Return the functions of predictors, those of earlier contracts included."""
        return [name for name, entry in self.functions.items() if entry.predictor is not None]

    def predictor_of(self, function: str, version: str) -> str:
        """Return DSPy's path of the predictor that `function` held in `version`; empty for the program function.

        Any variant of the version stands for it.
        """
        entry = self.versions.get(version_of(version))
        paths = {predictor.function: path for path, predictor in entry.predictors.items()} if entry else {}
        return paths.get(function) or self.functions[function].predictor or ""

    def unknown_version(self, version: str, function: str | None = None) -> str:
        """Return a message without a full stop: there is no `version` of the program, or of its `function`."""
        known = self.versions if function is None else self.versions_of(function)
        return f"{function or self.name} has no version {version!r}; there are {', '.join(known) or 'none'}"

    def versions_of(self, function: str) -> list[str]:
        """Return the versions that have a variant in `function`, oldest first.

        The program's name stands for all versions if the program has no function of its own.
        """
        if function == self.name and function not in self.functions:
            return list(self.versions)
        entry = self.functions[function]
        if entry.predictor is None:
            return [name for name, version in self.versions.items() if version.served_by is not None]
        return [
            name
            for name, version in self.versions.items()
            if any(predictor.function == function for predictor in version.predictors.values())
        ]

    def to_json(self) -> str:
        """Return the text of `manifest.json`."""
        raw = {"format": FORMAT, **asdict(self)}
        if not self.history:
            del raw["history"]
        return json.dumps(raw, indent=2, ensure_ascii=False) + "\n"

    def with_change(self, change: Change) -> "Manifest":
        """Return a copy whose history ends in `change`."""
        return replace(self, history=(*self.history, change))

    def with_files(self, files: Mapping[str, str]) -> "Manifest":
        """Return a copy that records `files`, path -> SHA-256, sorted by path."""
        return replace(self, files=dict(sorted(files.items())))


def parse_manifest(text: str, path: str) -> Manifest:
    """Return the manifest in the `text` of the file at `path`.

    Args:
        text: the content of the file.
        path: its path, for the errors, and because its directory must have the program's name.

    Raises:
        BundleError: it is not a manifest, or has a format that this version of t0dspy does not know.
    """
    try:
        raw = json.loads(text)
        if raw.pop("format") != FORMAT:
            raise BundleError(f"{path}: was written by another version of t0dspy; this version reads format {FORMAT}.")
        if raw["name"] != Path(path).parent.name:
            raise BundleError(
                f"{path}: belongs to the program {raw['name']!r}. A copied or renamed directory is not a program: "
                "remove it, or give it its name back."
            )
        manifest = to_dataclass(Manifest, raw)
        for version in manifest.versions:
            check_version_name(version, "versions")
        return manifest
    except (SettingsError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise BundleError(f"{path}: is not a manifest ({error}). Restore it from version control.") from error


def review_reason(version: str) -> str:
    """Return the reason in the history for a `version` that was exported without traffic, for review."""
    return f"export of {version}, which awaits review"


def same_contract(first: Any, second: Any) -> bool:
    """Return whether two schemas are equal, the order of fields included (which `==` on dicts ignores)."""
    return canonical(first) == canonical(second)
