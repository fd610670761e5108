"""Run a version in one of two ways: through the gateway, like production, or directly through DSPy."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dspy
from dspy.adapters.utils import serialize_for_json

from t0dspy.artifact.exported import ExportedProgram
from t0dspy.compiler.adapters import make_adapter
from t0dspy.errors import GatewayUnreachableError, SettingsError
from t0dspy.flywheel.models.answers import Answers
from t0dspy.flywheel.models.budget import Ledger, Stop
from t0dspy.flywheel.models.counted_lm import counted_lm
from t0dspy.flywheel.scoring import Run, program_run
from t0dspy.flywheel.to_dspy import Types
from t0dspy.gateway import HttpGateway
from t0dspy.program.of_version import runnable_version
from t0dspy.runtime.deploy import deploy
from t0dspy.runtime.functions import ServedFunction, find_function
from t0dspy.runtime.tags import TESTING
from t0dspy.settings import ProgramSettings, Settings

INFERENCE, EPISODE = "inference_id", "episode_id"


@contextmanager
def gateway_run(exported: ExportedProgram, live: dspy.Module, version: str, settings: Settings) -> Iterator[Run]:
    """Provide runs of `version` through the gateway: its program function, or `deploy` if only stages are exported."""
    url = settings.gateway_url.value
    if exported.version(version).served_by is None:
        program = runnable_version(live, exported, version)
        deployed = deploy(program, exported.name, version, settings.configs_dir, url, tags=TESTING)
        yield _stopping(program_run(deployed))
        return
    function = find_function(settings.configs_dir, exported.name)
    gateway = HttpGateway(url)
    try:
        yield _stopping(_function_run(function, version, gateway, Types.of(live, exported.name)))
    finally:
        gateway.close()


@contextmanager
def direct_run(
    exported: ExportedProgram, live: dspy.Module, version: str, program_settings: ProgramSettings | None
) -> Iterator[Run]:
    """Provide runs of `version` directly through DSPy, in its prompt form, with the task model.

    Raises:
        SettingsError: no model is configured.
    """
    program = runnable_version(live, exported, version)
    lm: Any = dspy.settings.lm
    if program_settings and program_settings.task_model:
        lm = counted_lm(program_settings.task_model, Ledger(), Answers())
        for predict in program.predictors():
            predict.lm = None
    if lm is None and any(predict.lm is None for predict in program.predictors()):
        raise SettingsError(
            f"no model to run {exported.name} with: write `task_model` in its settings, or dspy.configure(lm=...) in "
            "its module."
        )
    entry = exported.version(version)
    with dspy.context(lm=lm, adapter=make_adapter(entry.form, entry.adapter), disable_history=True):
        yield program_run(program)


def _function_run(function: ServedFunction, version: str, gateway: HttpGateway, types: Types) -> Run:
    def run(example: Any) -> Any:
        arguments = {name: serialize_for_json(value) for name, value in example.inputs().items()}
        inference = gateway.infer(function.call(arguments, version, TESTING))
        prediction: Any = dspy.Prediction(**types.outputs(function.read(inference), "the answer"))
        prediction[INFERENCE], prediction[EPISODE] = inference.inference_id, inference.episode_id
        return prediction

    return run


def _stopping(run: Run) -> Run:
    """Return a run that stops the evaluation if the gateway cannot be reached."""

    def stopping(example: Any) -> Any:
        try:
            return run(example)
        except GatewayUnreachableError as error:
            raise Stop(error) from error

    return stopping
