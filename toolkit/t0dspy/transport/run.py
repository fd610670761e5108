"""A run: one top-level call of a deployed program, with its version, its episode and its deadline."""

import asyncio
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import dspy

from t0dspy.errors import GatewayError, GatewayUnreachableError, RunError, T0dspyError
from t0dspy.gateway import Completion, HttpGateway, Inference
from t0dspy.model import LmEntry, PromptForm
from t0dspy.transport.episode import new_episode
from t0dspy.transport.prompt import ServedPredictor

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
    predictors: Mapping[str, ServedPredictor]
    """Maps DSPy's path of a predictor or kept module to it."""
    stage_deadline: float
    """Seconds that the gateway may take for a stage."""
    lms: Mapping[str, LmEntry] = field(default_factory=dict)
    direct_lm: str | None = None
    """The name of the LM whose variants the runtime uses if plain clients use the plain variant, which retries by
    itself; None if only the runtime calls the functions."""
    adapter: Mapping[str, Any] = field(default_factory=dict)
    """The options of the adapter that the version was exported with."""
    covered: Mapping[str, ServedPredictor] = field(default_factory=dict)
    """Path -> the predictors inside kept modules, for their instructions and demos."""

    def __str__(self) -> str:
        return f"{self.program} {self.version}"


class Run:
    """Calls the gateway for each stage, with one version and in one episode. It is thread-safe."""

    def __init__(
        self,
        served: ServedVersion,
        owner: object,
        gateway: HttpGateway,
        deadline: float | None = None,
        episode: str | None = None,
        tags: Mapping[str, str] | None = None,
        cache: bool = False,
    ) -> None:
        """Begin a run.

        Args:
            served: the version that answers all stages.
            owner: the deployment.
            gateway: the gateway.
            deadline: seconds from now; until then stage calls wait for a gateway that is restarting. By default there
                is no deadline, and they do not wait.
            episode: the id of the episode; by default a new one.
            tags: tags of the inferences of all stages.
            cache: whether DSPy's cache may answer calls, which the gateway does not log then.
        """
        self.tags: Mapping[str, str] = tags or {}
        self.served, self.owner, self.gateway, self.cache = served, owner, gateway, cache
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

    def send(self, body: Mapping[str, Any], seconds: float | None = None) -> Completion:
        """Post a stage's request to the gateway as part of this run, and return the gateway's answer.

        Args:
            body: the request, without the run's episode and tags.
            seconds: a time limit for the answer, if the LM has one.

        Raises:
            RunError: the run is over.
            GatewayError: the gateway is not available, or its answer was lost.
        """
        body = self._in_episode(body)
        while True:
            self.check()
            try:
                return self.gateway.complete(body, self._timeout(seconds))
            except GatewayUnreachableError as gone:
                self._wait_for(gone)
                self._over.wait(_PAUSE)

    async def asend(self, body: Mapping[str, Any], seconds: float | None = None) -> Completion:
        """Do the same as `send`, asynchronously."""
        body = self._in_episode(body)
        while True:
            self.check()
            try:
                return await self.gateway.acomplete(body, self._timeout(seconds))
            except GatewayUnreachableError as gone:
                self._wait_for(gone)
                await asyncio.sleep(_PAUSE)

    def _in_episode(self, body: Mapping[str, Any]) -> dict[str, Any]:
        tags = {"tensorzero::tags": dict(self.tags)} if self.tags else {}
        return {**body, "tensorzero::episode_id": self.episode, **tags}

    def _timeout(self, seconds: float | None) -> float:
        patience = self.served.stage_deadline + 10  # longer than the gateway's deadline, whose error has the reason
        patience = patience if seconds is None else min(patience, seconds)
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

    def record(self, request: Mapping[str, Any], inference: Inference) -> Inference:
        """Count the answer to `request`, and return it.

        Raises:
            GatewayError: another variant answered than the one that the request names.
        """
        wanted = request["tensorzero::variant_name"]
        if inference.variant != wanted:
            function = str(request["model"]).rpartition("::")[2]
            raise GatewayError(
                f"{function} was asked for {wanted}, but {inference.variant} answered (inference "
                f"{inference.inference_id}). A run is answered by one version, so it fails."
            )
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
