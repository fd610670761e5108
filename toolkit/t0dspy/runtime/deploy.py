"""`t0dspy.deploy`: make the gateway answer the predictors of a program object."""

import logging
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import dspy

from t0dspy.artifact.bundle import ROLLOUT
from t0dspy.artifact.exported import ExportedProgram, program_directory, programs_root
from t0dspy.compiler.introspect import signature_of
from t0dspy.errors import ProgramError, T0dspyError
from t0dspy.gateway import HttpGateway
from t0dspy.program.fits import differences
from t0dspy.program.load import import_attribute, require_program
from t0dspy.runtime.adapter import Binding
from t0dspy.runtime.engine import gateway_lm
from t0dspy.runtime.hooks import Deployment, hook
from t0dspy.runtime.run import Run, ServedVersion, served_version
from t0dspy.runtime.tags import checked_tags
from t0dspy.settings import load_settings
from t0dspy.stack.processes.locate import locate

Program = TypeVar("Program", bound=dspy.Module)

log = logging.getLogger("t0dspy")


def deploy(
    program: Program,
    name: str | None = None,
    version: str | None = None,
    configs: Path | str | None = None,
    gateway_url: str | None = None,
    *,
    cache: bool = False,
    tags: Mapping[str, str] | None = None,
) -> Program:
    """Make the gateway answer the predictors of `program`, in the exported prompt form.

    Sync and async calls keep DSPy's trace, history, usage and callbacks. One version answers all predictors of a call,
    and their inferences are logged in one episode. Every Prediction has the attributes `episode_id` and `variant`, and
    the Prediction of a single predictor also has `inference_id`. Copies of the program, such as optimizers make, are
    not deployed.

    Args:
        program: the program whose code was exported; it is changed in place.
        name: its name at the gateway; by default the only exported program that fits the code.
        version: such as `v2`; by default the version with the largest share, read again when `rollout.toml` changes.
        configs: the directory of TensorZero's config; by default from the settings.
        gateway_url: the URL of the gateway; by default from the settings.
        cache: whether DSPy's cache answers repeated calls. Such an answer has the ids of the first call, and the call
            is not logged. TensorZero also has a cache.
        tags: tags of every inference, such as `{"t0dspy::test": "true"}` for calls that are not production.

    Returns:
        `program` itself.

    Raises:
        BundleError: the exported program or the version does not exist.
        ProgramError: the code does not fit the version, or several exported programs fit the code.
        SettingsError: `rollout.toml` cannot be read, or a tag is invalid.
    """
    require_program(program, "deploy")
    settings = locate(load_settings(configs=configs, gateway_url=gateway_url))
    directory = program_directory(settings.configs_dir, name or _find_exported_name(program, settings.configs_dir))
    lm = gateway_lm(HttpGateway(settings.gateway_url.value), cache=cache)
    bind(program, _RolloutDeployment(program, directory, version, lm, checked_tags(tags or {})))
    return program


def bind(program: dspy.Module, deployment: Deployment) -> None:
    """Deploy `program` and its predictors in place."""
    for path, predict in program.named_predictors():
        signature = signature_of(predict)
        inputs, outputs = tuple(signature.input_fields), tuple(signature.output_fields)
        hook(predict, deployment, Binding(path, deployment.lm, dict(predict.config), inputs, outputs))
    if not isinstance(program, dspy.Predict):
        hook(program, deployment, None)


class _RolloutDeployment:
    """Which version of an exported program answers: a fixed one, or the incumbent that `rollout.toml` names now."""

    def __init__(
        self, program: dspy.Module, directory: Path, version: str | None, lm: dspy.LM, tags: Mapping[str, str]
    ) -> None:
        self.lm, self._tags = lm, tags
        self._program, self._directory, self._version = program.deepcopy(), directory, version
        self._lock = threading.Lock()
        self._read_at = self._stamp()
        self._served = self._read()

    def begin(self) -> Run:
        """Begin the run of a new top-level call, with the version that has the largest share now."""
        if self._version is None:
            self._refresh()
        return Run(self._served, self, tags=self._tags)

    def _refresh(self) -> None:
        stamp = self._stamp()
        if stamp == self._read_at:
            return
        with self._lock:
            self._read_at = stamp
            try:
                self._served = self._read()
            except T0dspyError as error:  # the file may be half written
                log.warning("%s changed but cannot be used, so %s stays in use: %s", ROLLOUT, self._served, error)

    def _stamp(self) -> tuple[int, int, int]:
        try:
            stat = (self._directory / ROLLOUT).stat()
        except OSError:
            return (0, 0, 0)
        return stat.st_mtime_ns, stat.st_size, stat.st_ino

    def _read(self) -> ServedVersion:
        exported = ExportedProgram.from_directory(self._directory)
        version = self._version or exported.incumbent
        exported.version(version)
        difference = differences(self._program, exported, version)
        if difference:
            raise ProgramError(f"the code does not fit {exported.name} {version}: {difference[0]}. Export it again.")
        return served_version(exported.manifest, version)


def _find_exported_name(program: dspy.Module, configs: Path) -> str:
    fitting = []
    for exported in ExportedProgram.read_all(configs):
        newest = exported.manifest.newest
        if newest and not differences(program, exported, newest):
            if _is_at(program, exported.manifest.program):
                return exported.name
            fitting.append(exported.name)
    if len(fitting) != 1:
        candidates = f"{' and '.join(fitting)} fit it" if fitting else "none fits it"
        raise ProgramError(
            f"which exported program in {programs_root(configs)} is this? {candidates}. Name it: "
            "deploy(program, 'NAME')."
        )
    return fitting[0]


def _is_at(program: dspy.Module, reference: str | None) -> bool:
    try:
        attribute = import_attribute(reference) if reference else None
    except ProgramError:
        return False
    return attribute is program or attribute is type(program)
