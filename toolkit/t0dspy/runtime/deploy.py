"""`t0dspy.deploy`: make the gateway answer the predictors of a program object."""

import logging
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import dspy

from t0dspy.artifact.bundle import ROLLOUT
from t0dspy.artifact.exported import ExportedProgram, program_directory, programs_root
from t0dspy.errors import ProgramError, T0dspyError
from t0dspy.gateway import HttpGateway
from t0dspy.program.fits import differences
from t0dspy.program.load import import_attribute, require_program
from t0dspy.program.of_version import with_version
from t0dspy.runtime.tags import checked_tags
from t0dspy.settings import load_settings
from t0dspy.stack.processes.locate import locate
from t0dspy.transport.bind import bind
from t0dspy.transport.run import Run, ServedVersion
from t0dspy.transport.served_version import served_version

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
    """Make the gateway answer the predictors of `program`, with the instructions and demos of an exported version.

    DSPy runs as it is: its adapter, its LMs, the JSON fallback, parsing, retries, trace, history, usage and callbacks.
    Only the transport of its LMs is replaced, by one that sends through the gateway and refuses every prompt that the
    version does not contain. One version answers all predictors of a call, and their inferences are logged in one
    episode. Every Prediction has the attributes `episode_id` and `variant`, and the Prediction of a single predictor
    also has `inference_id`. Copies of the program, such as optimizers make, are not deployed.

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
    gateway = HttpGateway(settings.gateway_url.value)
    deployment = _RolloutDeployment(program, directory, version, gateway, checked_tags(tags or {}), cache=cache)
    bind(program, deployment, deployment.kept)
    return program


class _RolloutDeployment:
    """Which version of an exported program answers: a fixed one, or the incumbent that `rollout.toml` names now."""

    def __init__(
        self,
        program: dspy.Module,
        directory: Path,
        version: str | None,
        gateway: HttpGateway,
        tags: Mapping[str, str],
        *,
        cache: bool,
    ) -> None:
        self._gateway, self._tags, self._cache = gateway, tags, cache
        self._program, self._directory, self._version = program.deepcopy(), directory, version
        self._lock = threading.Lock()
        self._read_at = self._stamp()
        self._served = self._read()

    @property
    def kept(self) -> set[str]:
        """Return the paths of the modules that any version keeps in Python."""
        versions = ExportedProgram.from_directory(self._directory).manifest.versions.values()
        return {path for version in versions for path, entry in version.predictors.items() if entry.kept}

    def begin(self) -> Run:
        """Begin the run of a new top-level call, with the version that has the largest share now."""
        if self._version is None:
            self._refresh()
        return Run(self._served, self, self._gateway, tags=self._tags, cache=self._cache)

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
        return served_version(exported, version, with_version(self._program, exported, version))


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
