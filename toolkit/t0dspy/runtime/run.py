"""One top-level call of a deployed program: one version, one episode, and whether it may still go on."""

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
"""Where DSPy's settings keep the run: they reach `dspy.Parallel`, `Module.batch`, tasks and `asyncio.to_thread`."""

_PAUSE = 0.2
"""Seconds between two tries to reach a gateway that is away."""


@dataclass(frozen=True)
class ServedVersion:
    """A version of an exported program, as its callers need it."""

    program: str
    version: str
    form: PromptForm
    stages: Mapping[str, PredictorEntry]
    """DSPy's path of a predictor -> where the version keeps it."""
    stage_deadline: float
    """Seconds that the gateway may take for a stage, retries included."""

    def __str__(self) -> str:
        return f"{self.program} {self.version}"


def served_version(manifest: Manifest, version: str) -> ServedVersion:
    """What callers need of `version`, which the manifest has."""
    entry = manifest.versions[version]
    return ServedVersion(manifest.name, version, entry.form, entry.predictors, manifest.deadlines["stage"])


class Run:
    """Asks the gateway for each stage, all of one version, in one episode. Safe to use from several threads."""

    def __init__(
        self,
        served: ServedVersion,
        owner: object,
        deadline: float | None = None,
        episode: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """A run of the deployment `owner`, whose stages are logged with `tags`.

        With a `deadline` (seconds from now) a stage call waits that long for a gateway that is restarting.
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
        self._why: T0dspyError | None = None
        self._away: GatewayUnreachableError | None = None
        self._lock = threading.Lock()

    @property
    def usage(self) -> tuple[int, int]:
        """Input and output tokens of all stages so far."""
        return self._usage[0], self._usage[1]

    @property
    def seconds(self) -> float:
        """How long the run has been going."""
        return time.monotonic() - self._started

    @property
    def remaining(self) -> float | None:
        """Seconds until the deadline; None without one."""
        return None if self._deadline is None else self._deadline - time.monotonic()

    def end(self, why: T0dspyError) -> None:
        """Let no further stage begin; the first reason stays."""
        with self._lock:
            self._why = self._why or why
        self._over.set()

    def check(self) -> None:
        """Raises why the run is over, if it is: code that swallowed the reason once meets it again."""
        if self._why is not None:
            raise self._why
        if self.remaining is not None and self.remaining <= 0:
            self.end(self._met_deadline())
            self.check()

    def ask(self, gateway: HttpGateway, call: Call) -> Inference:
        """The gateway's answer to one stage.

        Raises:
            RunError: the run is over.
            GatewayError: the gateway refused, failed, or answered with another version.
        """
        while True:
            self.check()
            try:
                return self._answered(call, gateway.infer(call, self._timeout()))
            except GatewayUnreachableError as gone:
                self._wait_for(gone)
                self._over.wait(_PAUSE)

    async def aask(self, gateway: HttpGateway, call: Call) -> Inference:
        """`ask`, asynchronously."""
        while True:
            self.check()
            try:
                return self._answered(call, await gateway.ainfer(call, self._timeout()))
            except GatewayUnreachableError as gone:
                self._wait_for(gone)
                await asyncio.sleep(_PAUSE)

    def _timeout(self) -> float:
        patience = self.served.stage_deadline + 10  # the gateway's own deadline answers with the better reason
        return patience if self.remaining is None else max(0.05, min(patience, self.remaining))

    def _wait_for(self, gone: GatewayUnreachableError) -> None:
        """Nothing was sent, so the call may be made again, as long as the run may go on."""
        if self.remaining is None:
            raise gone
        self._away = gone

    def _met_deadline(self) -> T0dspyError:
        after = f"the run of {self.served} met its deadline after {self.seconds:.0f} s"
        return GatewayError(f"{after}, waiting for the gateway: {self._away}") if self._away else RunError(f"{after}.")

    def _answered(self, call: Call, inference: Inference) -> Inference:
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
    """The run that the calling code is part of; None outside of one."""
    run: Run | None = dspy.settings.get(SETTING)
    return run
