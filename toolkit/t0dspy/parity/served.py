"""The served half of run equality: a gateway on the exported files, whose models are the scripted provider."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dspy
import tomlkit
from tomlkit.exceptions import TOMLKitError

from t0dspy.artifact.exported import ExportedProgram
from t0dspy.artifact.lms import LmIdentity
from t0dspy.artifact.manifest import PredictorEntry, VersionEntry
from t0dspy.artifact.variants import lm_of_variant, version_of
from t0dspy.compiler.sampling import dspy_name_of
from t0dspy.errors import BundleError
from t0dspy.gateway import HttpGateway, embedded_http_gateway
from t0dspy.parity.redirect import lm_key
from t0dspy.parity.runs import Side
from t0dspy.transport.bind import bind
from t0dspy.transport.run import Run, ServedVersion
from t0dspy.transport.served_version import served_version

OTHER = "t0dspy_other"
"""The model of everything that the version under test does not call."""


@dataclass(frozen=True)
class Deployed:
    """Begins runs of one version, answered by the gateway of the proof."""

    served: ServedVersion
    gateway: HttpGateway

    def begin(self) -> Run:
        """Begin a run; DSPy's cache is off, because plain runs have none either."""
        return Run(self.served, self, self.gateway)


@contextmanager
def deployed(program: dspy.Module, exported: ExportedProgram, version: str, upstream_url: str) -> Iterator["Serve"]:
    """Run a gateway on the files of `exported`, and yield a function that deploys copies of `program` to it.

    Args:
        program: the live program with the state of the version.
        exported: the exported program; its files need not be on disk.
        version: the version under test.
        upstream_url: the address of the scripted provider, without a path.

    Raises:
        GatewayError: if TensorZero rejects the config.
        BundleError: if a file is not valid TOML, or an older t0dspy exported the version.
    """
    entry = exported.version(version)
    with tempfile.TemporaryDirectory(prefix="t0dspy-verify-") as place:
        _write(Path(place), _Scripted(entry, version, upstream_url), exported.files)
        with embedded_http_gateway(Path(place)) as url:
            gateway = HttpGateway(url)
            try:
                yield Serve(Deployed(served_version(exported, version, program), gateway), entry)
            finally:
                gateway.close()


class Serve(Side):
    """Deploys copies of a program."""

    in_runs = True

    def __init__(self, deployment: Deployed, entry: VersionEntry) -> None:
        self.deployment = deployment
        self._kept = {path for path, predictor in entry.predictors.items() if predictor.kept}

    def prepare(self, program: dspy.Module) -> dspy.Module:
        """Deploy `program` in place and return it."""
        bind(program, self.deployment, self._kept)
        return program


class _Scripted:
    """The models of the proof: one for each LM of the version, at the address that plain runs use for this LM."""

    def __init__(self, entry: VersionEntry, version: str, upstream_url: str) -> None:
        self.entry, self.version, self.url = entry, version, upstream_url
        self.identities: dict[str, LmIdentity] = {}

    def model_of(self, function: str, variant: str, model: str | None) -> str:
        """Return the name of the scripted model for a variant, whose model is `model`, and remember it."""
        predictor = next((each for each in self.entry.predictors.values() if each.function == function), None)
        identity = self._identity(predictor, variant, model) if predictor else None
        if identity is None:
            return OTHER
        name = f"t0dspy_{lm_key(identity.model, identity.type, identity.address)}"
        self.identities[name] = identity
        return name

    def _identity(self, predictor: PredictorEntry, variant: str, model: str | None) -> LmIdentity | None:
        if version_of(variant) != self.version:
            return None
        name = lm_of_variant(variant) or predictor.lm
        lm = self.entry.lms.get(name or "")
        recorded = {lm.model if lm else predictor.model, predictor.model if name == predictor.lm else None}
        if model not in recorded:  # another model was written by hand
            return None
        return LmIdentity(lm.lm, lm.type, lm.address) if lm else LmIdentity(dspy_name_of(predictor.model))

    def models(self) -> dict[str, Any]:
        """Return the tables of all models."""
        known = {name: self._model(identity) for name, identity in self.identities.items()}
        return {**known, OTHER: self._model(LmIdentity("openai/other"))}

    def _model(self, identity: LmIdentity) -> dict[str, Any]:
        return {"routing": ["scripted"], "providers": {"scripted": self.provider(identity)}}

    def provider(self, identity: LmIdentity) -> dict[str, Any]:
        """Return the table of the provider that stands for an LM."""
        key = lm_key(identity.model, identity.type, identity.address)
        name = identity.model.partition("/")[2] or identity.model
        return {"type": "openai", "model_name": name, "api_base": f"{self.url}/{key}/", "api_key_location": "none"}


def _write(root: Path, scripted: _Scripted, files: Mapping[str, str]) -> None:
    for path, text in files.items():
        target = root / "program" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((_with_models(text, path, scripted) if path.endswith(".toml") else text).encode())
    config = {"models": scripted.models(), "object_storage": {"type": "disabled"}}
    (root / "models.toml").write_text(tomlkit.dumps(config), encoding="utf-8")


def _with_models(text: str, path: str, scripted: _Scripted) -> str:
    try:
        config = tomlkit.parse(text).unwrap()
    except TOMLKitError as error:
        advice = "Restore it from version control, or export the program anew"
        raise BundleError(f"{path}: not valid TOML: {error}. {advice}.") from error
    for function, table in config.get("functions", {}).items():
        for name, variant in table.get("variants", {}).items():
            variant["model"] = scripted.model_of(function, name, variant.get("model"))
    for model in config.get("models", {}).values():
        model["providers"] = dict.fromkeys(model["providers"], scripted.provider(LmIdentity("openai/other")))
    return tomlkit.dumps(config)
