"""A worker process: it loads a program once, and does each run in its own thread."""

import argparse
import asyncio
import logging
import os
import socket
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import dspy
from dspy.utils.exceptions import AdapterParseError, LMError

from localkit.die_with_parent import die_with
from t0dspy.errors import GatewayError, ProgramError, RunError, T0dspyError
from t0dspy.gateway import HttpGateway
from t0dspy.gateway.program_failures import NOT_PARSED
from t0dspy.runtime.server.answers import answer_text
from t0dspy.runtime.server.catalog import Catalog, Runnable, load_catalog
from t0dspy.runtime.server.failures import provider_failure
from t0dspy.runtime.server.logs import frames, log, log_uncaught
from t0dspy.runtime.server.messages import Channel, Order, Outcome
from t0dspy.stack.processes.programs import GATEWAY_SOCKET
from t0dspy.transport.adapter import settings_for
from t0dspy.transport.dspy34 import install
from t0dspy.transport.run import SETTING, Run


class Worker:
    """Does the runs that the front process sends."""

    def __init__(self, catalog: Catalog, channel: Channel, gateway: HttpGateway) -> None:
        self._catalog, self._channel, self._gateway = catalog, channel, gateway
        self._runs: dict[str, Run] = {}

    def serve(self) -> None:
        """Send the offers, then handle messages until the front process closes the socket."""
        self._channel.send("offers", {name: vars(offer) for name, offer in self._catalog.offers.items()})
        for kind, value in self._channel.receive():
            if kind == "order":
                self._begin(Order(**value))
            elif kind == "stop" and (run := self._runs.get(value["run"])) is not None:
                run.end(RunError(value["why"]))

    def _begin(self, order: Order) -> None:
        runnable = self._catalog.runnables[order.program, order.version]
        run = Run(runnable.served, runnable.deployment, self._gateway, order.seconds, order.run, order.tags)
        self._runs[order.run] = run
        threading.Thread(target=self._finish, args=(order, runnable, run), name=order.run, daemon=True).start()

    def _finish(self, order: Order, runnable: Runnable, run: Run) -> None:
        outcome = run_request(order, runnable, run)
        del self._runs[order.run]
        self._channel.send("outcome", outcome)


def run_request(order: Order, runnable: Runnable, run: Run) -> Outcome:
    """Run the program and return the outcome; an exception becomes a failed outcome."""
    try:
        text = _answer(order, runnable, run)
        status, kind = 200, ""
    except BaseException as error:
        status, kind, text = _failure(error, runnable, order)
    run.end(RunError(f"the run {order.run} is over."))
    return Outcome(order.run, status, text, kind, run.stages, *run.usage)


def _answer(order: Order, runnable: Runnable, run: Run) -> str:
    inputs = runnable.inputs(order.arguments)
    with dspy.context(**{SETTING: run, "trace": [], "usage_tracker": None, **settings_for(runnable.served)}):
        prediction = _call(runnable.program, inputs)
    run.check()  # raises if the run ended and the program caught that exception
    if runnable.text == "chat" and runnable.is_predictor and run.stages == 1 and run.last is not None:
        return run.last.text  # after a second call, the last text is that of the JSON fallback
    return answer_text(prediction, runnable.outputs, runnable.text, str(runnable.served))


def _call(program: dspy.Module, inputs: dict[str, Any]) -> Any:
    if hasattr(type(program), "forward"):
        return program(**inputs)
    return asyncio.run(program.acall(**inputs))


def _failure(error: BaseException, runnable: Runnable, order: Order) -> tuple[int, str, str]:
    """Return status, kind and message for the caller; log the details."""
    if isinstance(error, AdapterParseError):
        return 502, NOT_PARSED, _not_parsed(error, runnable)
    if isinstance(error, GatewayError):
        return 502, "stage_failed", f"a stage of {runnable.served} failed: {error}"
    if isinstance(error, RunError):
        return 504, "run_stopped", str(error)
    if isinstance(error, LMError):
        log("error", "run failed", run=order.run, program=order.model, traceback=frames(error))
        return 502, "stage_failed", provider_failure(error, str(runnable.served))
    if isinstance(error, ProgramError | T0dspyError):
        log("error", "run failed", run=order.run, program=order.model, why=str(error))
        return 500, type(error).__name__, str(error)
    log("error", "run failed", run=order.run, program=order.model, traceback=frames(error))
    message = f"{type(error).__name__} in the code of {runnable.served}; the traceback is in the program server's log"
    return 500, type(error).__name__, f"{message} under run {order.run}."


def _not_parsed(error: AdapterParseError, runnable: Runnable) -> str:
    path, inference = getattr(error, "t0dspy_stage", ("?", None))
    fields = ", ".join(cast("Any", error.signature).output_fields)
    return (
        f"stage {path!r} of {runnable.served}: the model's answer (inference {inference}) does not hold the fields "
        f"{fields} in a form that DSPy's parser reads."
    )


def _silence_libraries() -> None:
    """Keep the output of DSPy and of programs out of the log, because it may quote the user."""
    log_uncaught()
    logging.getLogger("dspy").setLevel(logging.CRITICAL + 1)


def main(argv: Sequence[str] | None = None) -> None:
    """Run a worker process. The front process starts it."""
    parser = argparse.ArgumentParser(prog="python -m t0dspy.runtime.server.worker", description=__doc__)
    parser.add_argument("--program", required=True, help="the exported program that it runs")
    parser.add_argument("--configs", type=Path, required=True)
    parser.add_argument("--gateway-url", required=True)
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--parent-pid", type=int, help="exit when this parent process is gone, even during a run")
    args = parser.parse_args(argv)
    if args.parent_pid is not None:
        die_with(args.parent_pid)
    _silence_libraries()
    channel = Channel(socket.socket(fileno=args.fd))
    gateway = HttpGateway(args.gateway_url, socket=os.environ.get(GATEWAY_SOCKET))
    install(required=True)
    catalog = load_catalog(args.configs, args.program)
    dspy.configure(disable_history=True, warn_on_type_mismatch=False)
    Worker(catalog, channel, gateway).serve()
    os._exit(0)  # does not wait for threads that hang


if __name__ == "__main__":
    main()
