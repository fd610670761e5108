"""A run: one top-level call of a deployed program, with its version, its episode and its deadline."""

import asyncio
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

import dspy

from t0dspy.artifact.manifest import Manifest, PredictorEntry
from t0dspy.errors import GatewayError, GatewayUnreachableError, RunError, T0dspyError
from t0dspy.gateway import Call, HttpGateway, Inference
from t0dspy.model import PromptForm
from t0dspy.runtime.episode import new_episode

SETTING = "t0dspy_run"
"""The key of the run in DSPy's settings, which `dspy.Parallel`, `Module.batch` and asyncio pass on."""

_PAUSE = 0.2
"""Seconds between two attempts to reach an unreachable gateway."""


@dataclass(frozen=True)
class ServedVersion:
    """The parts of an exported version that its callers need."""

    program: str
    version: str
    form: PromptForm
    stages: Mapping[str, PredictorEntry]
    """Maps DSPy's path of a predictor to its entry in the manifest."""
    stage_deadline: float
    """Seconds that the gateway may take for a stage, including retries."""

    def __str__(self) -> str:
        return f"{self.program} {self.version}"


def served_version(manifest: Manifest, version: str) -> ServedVersion:
    """Return the `ServedVersion` for a version of the manifest."""
    entry = manifest.versions[version]
    return ServedVersion(manifest.name, version, entry.form, entry.predictors, manifest.deadlines["stage"])


class Run:
    """Calls the gateway for each stage, with one version and in one episode. It is thread-safe."""

    def __init__(
        self,
        served: ServedVersion,
        owner: object,
        deadline: float | None = None,
        episode: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Begin a run.

        Args:
            served: the version that answers all stages.
            owner: the deployment.
            deadline: seconds from now; until then stage calls wait for a gateway that is restarting. By default there
                is no deadline, and they do not wait.
            episode: the id of the episode; by default a new one.
            tags: tags of the inferences of all stages.
        """
        self.tags: Mapping[str, str] = tags or {}
        self.served, self.owner = served, owner
        self.episode = episode or new_episode()
        self.stages = 0
        self.last: Inference | None = None
        self._started = time.monotonic()
        self._deadline = None if deadline is None else self._started + deadline
        self._usage = [0, 0]
        self._over = threading.Event()
        self._reason: T0dspyError | None = None
        self._away: GatewayUnreachableError | None = None
        self._lock = threading.Lock()

    @property
    def usage(self) -> tuple[int, int]:
        """Return the input and output tokens of all stages so far."""
        return self._usage[0], self._usage[1]

    @property
    def seconds(self) -> float:
        """Return the seconds since the run began."""
        return time.monotonic() - self._started

    @property
    def remaining(self) -> float | None:
        """Return the seconds until the deadline; None if there is no deadline."""
        return None if self._deadline is None else self._deadline - time.monotonic()

    def end(self, reason: T0dspyError) -> None:
        """End the run before its next stage. If it is called again, the first reason stays."""
        with self._lock:
            self._reason = self._reason or reason
        self._over.set()

    def check(self) -> None:
        """Raise the reason why the run is over, if it is, even if the program caught that exception before."""
        if self._reason is not None:
            raise self._reason
        if self.remaining is not None and self.remaining <= 0:
            self.end(self._deadline_error())
            self.check()

    def ask(self, gateway: HttpGateway, call: Call) -> Inference:
        """Call the gateway for one stage and return its answer.

        Raises:
            RunError: the run is over.
            GatewayError: the gateway refused the call, failed, or answered with another version.
        """
        while True:
            self.check()
            try:
                return self._record(call, gateway.infer(call, self._timeout()))
            except GatewayUnreachableError as gone:
                self._wait_for(gone)
                self._over.wait(_PAUSE)

    async def aask(self, gateway: HttpGateway, call: Call) -> Inference:
        """Do the same as `ask`, asynchronously."""
        while True:
            self.check()
            try:
                return self._record(call, await gateway.ainfer(call, self._timeout()))
            except GatewayUnreachableError as gone:
                self._wait_for(gone)
                await asyncio.sleep(_PAUSE)

    def _timeout(self) -> float:
        patience = self.served.stage_deadline + 10  # longer than the gateway's deadline, whose error has the reason
        return patience if self.remaining is None else max(0.05, min(patience, self.remaining))

    def _wait_for(self, gone: GatewayUnreachableError) -> None:
        """Note that the gateway cannot be reached; raise `gone` if the run does not wait.

        Nothing was sent, so the call can be repeated until the deadline.
        """
        if self.remaining is None:
            raise gone
        self._away = gone

    def _deadline_error(self) -> T0dspyError:
        after = f"the run of {self.served} met its deadline after {self.seconds:.0f} s"
        return GatewayError(f"{after}, waiting for the gateway: {self._away}") if self._away else RunError(f"{after}.")

    def _record(self, call: Call, inference: Inference) -> Inference:
        if inference.variant != call.variant:
            self.end(
                GatewayError(
                    f"{call.function} was asked for {call.variant}, but {inference.variant} answered (inference "
                    f"{inference.inference_id}). A run is answered by one version, so it fails."
                )
            )
            self.check()
        with self._lock:
            self._away = None
            self.stages += 1
            self.last = inference
            self._usage[0] += inference.usage[0]
            self._usage[1] += inference.usage[1]
        return inference


def current_run() -> Run | None:
    """Return the run that the calling code is part of; None outside of a run."""
    run: Run | None = dspy.settings.get(SETTING)
    return run
