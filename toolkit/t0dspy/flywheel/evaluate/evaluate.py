"""Evaluate: the user's metric over a data set, for one version or several, with intervals and paired differences."""

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
from t0dspy.flywheel.models.silence import quietly
from t0dspy.flywheel.promotion.groups import groups_of
from t0dspy.flywheel.promotion.intervals import Interval, Paired, mean_interval, paired
from t0dspy.flywheel.scoring import Scored, check_failures, score_all
from t0dspy.flywheel.split.user_files import read_own
from t0dspy.flywheel.to_dspy import Types, to_example
from t0dspy.gateway import HttpGateway
from t0dspy.program.of_version import import_program, input_names
from t0dspy.settings import ProgramSettings, Settings, load_settings
from t0dspy.stack.processes.locate import locate


@dataclass(frozen=True)
class EvaluateOptions:
    """How to evaluate."""

    versions: Sequence[str] = ()
    """By default the incumbent."""
    metric: str | Metric | None = None
    """By default that of the program's settings."""
    direct: bool = False
    """Straight through DSPy with the task model, in the version's prompt form, with no gateway."""
    record: str | None = None
    """A metric of the gateway's config, to which the scores go back as feedback."""
    threads: int = 8


@dataclass(frozen=True)
class VersionScores:
    """A version's scores."""

    version: str
    scores: Sequence[float]
    """One for each example, in the order of the data; 0 where the run failed."""
    interval: Interval
    failed: Mapping[str, int]
    """What failed (`answer`, `program`, `model`, `metric`) -> how many runs."""
    failures: Sequence[str]
    """What the first few failures said."""
    recorded: int = 0
    """How many scores went back as feedback."""
    examples: Mapping[str, str] = field(default_factory=dict)
    """Kind of failure -> the message of its first run."""


@dataclass(frozen=True)
class Difference:
    """A version against the one before it, example by example."""

    version: str
    against: str
    paired: Paired


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found."""

    name: str
    metric: str
    examples: int
    route: str
    """`gateway` or `direct`."""
    versions: Sequence[VersionScores]
    groups: int
    """How many groups of examples (users, episodes) there are; examples of one group may depend on each other."""
    differences: Sequence[Difference] = field(default=())
    notes: Sequence[str] = ()

    def as_json(self) -> dict[str, Any]:
        """The whole of it as plain values."""
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

    Through the gateway each call is pinned to its version, so that it is no production to `pull`.

    Args:
        name: the exported program.
        data: JSON lines, flat objects of fields or lines of `pull`; or such objects. Gold is what people said: of a
            line of `pull`, only a demonstration.
        options: which versions, and how.
        program: the live program; by default it is imported as it was exported.
        configs: the directory of TensorZero's config; by default that of the settings.
        gateway_url: by default that of the settings.
        progress: called with a line about what is being done.

    Raises:
        SettingsError: the data, or what the settings lack.
        MetricError: the metric cannot be loaded, or raises.
        BundleError: there is no such program or version.
        ProgramError: the code does not fit a version.
        GatewayError: the gateway is not there.
        OptimizeError: too many runs got no answer for the scores to mean anything.
    """
    options = options or EvaluateOptions()
    settings = locate(load_settings(configs=configs, gateway_url=gateway_url))
    own = settings.programs.get(check_program_name(name))
    metric = _metric(options, own)
    exported = ExportedProgram.read(settings.configs_dir, name)
    live = program if program is not None else import_program(exported)
    mark_paths(live)
    versions = list(options.versions) or [exported.incumbent]
    pulled = _read(input_names(exported, live), data)
    groups = groups_of(pulled, curate_options(own).user_tag if own else CurateOptions.user_tag)
    examples = _typed(live, name, pulled)
    recorder = Recorder(settings.configs_dir, options.record, metric.threshold) if options.record else None
    if recorder and options.direct:
        raise SettingsError("--record needs the gateway: straight through DSPy there is no inference to record on.")
    scores = []
    for version in versions:
        if recorder:
            recorder.check(stages_only=exported.version(version).served_by is None)
        scored = _score(exported, live, version, examples, metric, options, settings, own, progress)
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


def _metric(options: EvaluateOptions, own: ProgramSettings | None) -> Metric:
    if isinstance(options.metric, Metric):
        return options.metric
    reference = options.metric or (own.metric if own else None)
    if reference is None:
        raise SettingsError("no metric: pass --metric app.metrics:grade, or write `metric` in the program's settings.")
    return load_metric(reference, own.metric_threshold if own else 0.5)


def _read(inputs: Sequence[str], data: Path | str | Sequence[Mapping[str, Any]]) -> list[PulledExample]:
    if isinstance(data, str | Path):
        pulled = list(read_own(Path(data), inputs))
    else:
        pulled = [_pulled(one, inputs, f"example {number}") for number, one in enumerate(data, 1)]
    if not pulled:
        raise SettingsError(f"{data if isinstance(data, str | Path) else 'the data'}: holds no example.")
    return pulled


def _typed(live: dspy.Module, name: str, pulled: Sequence[PulledExample]) -> list[dspy.Example]:
    types = Types.of(live, name)
    return [to_example(one, types, f"example {number}") for number, one in enumerate(pulled, 1)]


def _pulled(fields: Mapping[str, Any], inputs: Sequence[str], where: str) -> PulledExample:
    missing = [name for name in inputs if name not in fields]
    if len(missing) == len(inputs):
        raise SettingsError(f"{where}: has none of the inputs {', '.join(inputs)}; its keys are {', '.join(fields)}.")
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
    own: ProgramSettings | None,
    progress: Callable[[str], None],
) -> list[Scored]:
    name = f"{exported.name} {version}"

    def done(count: int) -> None:
        progress(f"{name}: {count} of {len(examples)} runs")

    direct = options.direct
    route = direct_run(exported, live, version, own) if direct else gateway_run(exported, live, version, settings)
    try:
        with quietly(None), route as run:
            scored = score_all(run, examples, metric, threads=options.threads, done=done)
    except Stop as stop:
        if stop.why is None:
            raise
        raise stop.why from stop
    check_failures(scored, name)
    return scored


def _version_scores(version: str, scored: Sequence[Scored], recorded: int, groups: Sequence[str]) -> VersionScores:
    scores = [one.score for one in scored]
    failed = Counter[str](one.failure for one in scored if one.failure)
    said = tuple(one.why for one in scored if one.failure)[:3]
    examples = {kind: next(one.why for one in scored if one.failure == kind) for kind in failed}
    return VersionScores(version, scores, mean_interval(scores, groups), dict(failed), said, recorded, examples)


def _difference(new: VersionScores, old: VersionScores, groups: Sequence[str]) -> Difference:
    return Difference(new.version, old.version, paired(new.scores, old.scores, groups))
