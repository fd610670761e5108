"""Score one or several versions with the user's metric, with intervals and paired differences."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import dspy

from t0dspy.artifact.exported import ExportedProgram
from t0dspy.artifact.names import check_program_name
from t0dspy.errors import SettingsError
from t0dspy.flywheel.curate.options import CurateOptions
from t0dspy.flywheel.curate.settings import curate_options
from t0dspy.flywheel.evaluate.recording import Recorder
from t0dspy.flywheel.evaluate.routes import direct_run, gateway_run
from t0dspy.flywheel.example import PulledExample
from t0dspy.flywheel.metrics import Metric, load_metric, mark_paths
from t0dspy.flywheel.models.budget import Stop
from t0dspy.flywheel.models.silence import redirect_output
from t0dspy.flywheel.promotion.groups import groups_of
from t0dspy.flywheel.promotion.intervals import Interval, Paired, mean_interval, paired_difference
from t0dspy.flywheel.scoring import Scored, check_failures, score_all
from t0dspy.flywheel.split.user_files import read_user_examples
from t0dspy.flywheel.to_dspy import Types, to_example
from t0dspy.gateway import HttpGateway
from t0dspy.program.of_version import import_program, input_names
from t0dspy.settings import ProgramSettings, Settings, load_settings
from t0dspy.stack.processes.locate import locate


@dataclass(frozen=True)
class EvaluateOptions:
    """The options of an evaluation."""

    versions: Sequence[str] = ()
    """The versions to score; by default the incumbent."""
    metric: str | Metric | None = None
    """By default the metric in the program's settings."""
    direct: bool = False
    """Run the program directly through DSPy with the task model, in the version's prompt form, without a gateway."""
    record: str | None = None
    """A metric in the gateway's config; the scores are recorded as feedback for it."""
    threads: int = 8


@dataclass(frozen=True)
class VersionScores:
    """A version's scores."""

    version: str
    scores: Sequence[float]
    """One score per example, in the order of the data; 0 if the run failed."""
    interval: Interval
    failed: Mapping[str, int]
    """Kind of failure (`answer`, `program`, `model`, `metric`) -> how many runs."""
    failures: Sequence[str]
    """The messages of the first few failures."""
    recorded: int = 0
    """How many scores were recorded as feedback."""
    examples: Mapping[str, str] = field(default_factory=dict)
    """Kind of failure -> the message of its first run."""


@dataclass(frozen=True)
class Difference:
    """A version compared with the one before it, example by example."""

    version: str
    against: str
    paired: Paired


@dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation."""

    name: str
    metric: str
    examples: int
    route: str
    """`gateway` or `direct`."""
    versions: Sequence[VersionScores]
    groups: int
    """How many groups (users, episodes) the examples form; examples of one group may depend on each other."""
    differences: Sequence[Difference] = field(default=())
    notes: Sequence[str] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the evaluation as plain values."""
        return asdict(self)


def evaluate(
    name: str,
    data: Path | str | Sequence[Mapping[str, Any]],
    options: EvaluateOptions | None = None,
    *,
    program: dspy.Module | None = None,
    configs: Path | str | None = None,
    gateway_url: str | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> Evaluation:
    """Score versions of an exported program on a data set.

    Each call through the gateway is pinned to its version, so `pull` does not count it as production.

    Args:
        name: the exported program.
        data: a file of JSON lines, with flat objects of fields or lines of `pull`; or a sequence of flat objects. The
            other fields of a flat object are its right answer; a line of `pull` has one only if a person corrected it.
        options: the versions, and how to run them.
        program: the live program; by default it is imported as it was exported.
        configs: the directory of TensorZero's config; by default that of the settings.
        gateway_url: by default that of the settings.
        progress: called with a line of progress.

    Returns:
        The scores of each version with their 95% interval, and the paired differences.

    Raises:
        SettingsError: the data is not valid, or a setting is missing.
        MetricError: the metric cannot be loaded, or raises an exception.
        BundleError: the program or version does not exist.
        ProgramError: the code does not fit a version.
        GatewayError: the gateway cannot be reached.
        OptimizeError: so many runs had no answer that the scores mean nothing.
    """
    options = options or EvaluateOptions()
    settings = locate(load_settings(configs=configs, gateway_url=gateway_url))
    program_settings = settings.programs.get(check_program_name(name))
    metric = _metric(options, program_settings)
    exported = ExportedProgram.read(settings.configs_dir, name)
    live = program if program is not None else import_program(exported)
    mark_paths(live)
    versions = list(options.versions) or [exported.incumbent]
    pulled = _read(input_names(exported, live), data)
    groups = groups_of(
        pulled, curate_options(program_settings).user_tag if program_settings else CurateOptions.user_tag
    )
    examples = _to_examples(live, name, pulled)
    recorder = Recorder(settings.configs_dir, options.record, metric.threshold) if options.record else None
    if recorder and options.direct:
        raise SettingsError("--record needs the gateway: with --direct there is no inference to record a score for.")
    scores = []
    for version in versions:
        if recorder:
            recorder.check(stages_only=exported.version(version).served_by is None)
        scored = _score(exported, live, version, examples, metric, options, settings, program_settings, progress)
        recorded = recorder.record(HttpGateway(settings.gateway_url.value), scored) if recorder else 0
        scores.append(_version_scores(version, scored, recorded, groups))
    return Evaluation(
        name=name,
        metric=metric.name,
        examples=len(examples),
        route="direct" if options.direct else "gateway",
        versions=tuple(scores),
        groups=len(set(groups)),
        differences=tuple(_difference(new, old, groups) for old, new in pairwise(scores)),
    )


def _metric(options: EvaluateOptions, program_settings: ProgramSettings | None) -> Metric:
    if isinstance(options.metric, Metric):
        return options.metric
    reference = options.metric or (program_settings.metric if program_settings else None)
    if reference is None:
        raise SettingsError("no metric: pass --metric app.metrics:grade, or write `metric` in the program's settings.")
    return load_metric(reference, program_settings.metric_threshold if program_settings else 0.5)


def _read(inputs: Sequence[str], data: Path | str | Sequence[Mapping[str, Any]]) -> list[PulledExample]:
    if isinstance(data, str | Path):
        pulled = list(read_user_examples(Path(data), inputs))
    else:
        pulled = [_to_pulled_example(fields, inputs, f"example {number}") for number, fields in enumerate(data, 1)]
    if not pulled:
        raise SettingsError(f"{data if isinstance(data, str | Path) else 'the data'}: holds no example.")
    return pulled


def _to_examples(live: dspy.Module, name: str, pulled: Sequence[PulledExample]) -> list[dspy.Example]:
    types = Types.of(live, name)
    return [to_example(example, types, f"example {number}") for number, example in enumerate(pulled, 1)]


def _to_pulled_example(fields: Mapping[str, Any], inputs: Sequence[str], location: str) -> PulledExample:
    missing = [name for name in inputs if name not in fields]
    if len(missing) == len(inputs):
        raise SettingsError(
            f"{location}: has none of the inputs {', '.join(inputs)}; its keys are {', '.join(fields)}."
        )
    given = {name: fields[name] for name in inputs if name in fields}
    gold = {name: value for name, value in fields.items() if name not in given} or None
    return PulledExample(given, gold, None, demonstration=gold is not None)


def _score(
    exported: ExportedProgram,
    live: dspy.Module,
    version: str,
    examples: Sequence[dspy.Example],
    metric: Metric,
    options: EvaluateOptions,
    settings: Settings,
    program_settings: ProgramSettings | None,
    progress: Callable[[str], None],
) -> list[Scored]:
    name = f"{exported.name} {version}"

    def done(count: int) -> None:
        progress(f"{name}: {count} of {len(examples)} runs")

    direct = options.direct
    route = (
        direct_run(exported, live, version, program_settings)
        if direct
        else gateway_run(exported, live, version, settings)
    )
    try:
        with redirect_output(None), route as run:
            scored = score_all(run, examples, metric, threads=options.threads, done=done)
    except Stop as stop:
        if stop.why is None:
            raise
        raise stop.why from stop
    check_failures(scored, name)
    return scored


def _version_scores(version: str, scored: Sequence[Scored], recorded: int, groups: Sequence[str]) -> VersionScores:
    scores = [run.score for run in scored]
    failed = Counter[str](run.failure for run in scored if run.failure)
    messages = tuple(run.why for run in scored if run.failure)[:3]
    examples = {kind: next(run.why for run in scored if run.failure == kind) for kind in failed}
    return VersionScores(version, scores, mean_interval(scores, groups), dict(failed), messages, recorded, examples)


def _difference(new: VersionScores, old: VersionScores, groups: Sequence[str]) -> Difference:
    return Difference(new.version, old.version, paired_difference(new.scores, old.scores, groups))
