"""Plan a pull: check its options and choose which inferences to ask ClickHouse for."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from t0dspy.errors import SettingsError
from t0dspy.flywheel.pull.program import PulledProgram, earlier_programs, read_pulled_program
from t0dspy.flywheel.pull.window import Window, window_of
from t0dspy.settings import Settings
from t0dspy.warehouse.production import BY, USER, Scope

INCLUDABLE = ("pinned", "internal", "evaluation", "test")
"""Rows that are no production, unless asked for."""


@dataclass(frozen=True)
class PullOptions:
    """Which inferences to pull; by default all of the last 30 days that are production."""

    window: str | timedelta = "30d"
    """Its length, such as `45m`, `12h`, `30d` or `4w`. An inference is in it when it, or its newest feedback, is."""
    until: datetime | None = None
    """Its end, by default now. What was said later is not known to the pull."""
    versions: Sequence[str] = ()
    """Only inferences that these versions answered; all when empty."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Only inferences that carry all of these."""
    metrics: Mapping[str, bool | float] = field(default_factory=dict)
    """Only inferences whose latest values are these."""
    limit: int | None = None
    """At most so many, evenly over time."""
    include: Sequence[str] = ()
    """What is left out otherwise: `pinned`, `internal`, `evaluation`, `test`."""
    fallbacks: bool = True
    """Whether answers of a version that only stood in for another one come along; a comparison must leave them out."""
    user_tag: str = USER
    """The tag of an inference that says whose it was."""
    rater_tag: str | None = None
    """A tag of feedback that names its rater, before `t0dspy::by` and the user tag."""


@dataclass(frozen=True)
class PullPlan:
    """What will be asked of ClickHouse."""

    program: PulledProgram
    parts: Sequence[tuple[PulledProgram, Scope]]
    """The program itself, and before it those whose contract it broke, oldest first."""
    limit: int | None = None
    fallbacks: bool = True

    @property
    def scope(self) -> Scope:
        """Of the program itself."""
        return self.parts[-1][1]


def rater_options(settings: Settings, name: str) -> dict[str, Any]:
    """Return the options of a pull that say who is who, from the program's `curate` settings.

    Raises:
        SettingsError: one is not the name of a tag.
    """
    program = settings.programs.get(name)
    named = {key: program.curate[key] for key in ("user_tag", "rater_tag") if program and key in program.curate}
    for key, tag in named.items():
        if not isinstance(tag, str) or not tag:
            raise SettingsError(f"{settings.file}, {name}, curate: {key} is {tag!r}; write the name of a tag.")
    return named


def plan_pull(
    program: str, options: PullOptions, configs: Path, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> PullPlan:
    """What `pull_examples` will ask, before there is a database to ask; `now` is the clock.

    Raises:
        SettingsError: an option is not one.
        BundleError: the program was never exported, or not in that version.
    """
    _check(options)
    exported = read_pulled_program(configs, program, options.versions)
    window = window_of(options.window, options.until or now())
    before = () if options.versions else earlier_programs(configs, exported)
    parts = [(one, _scope(one, window, options)) for one in (*before, exported)]
    return PullPlan(exported, parts, options.limit, options.fallbacks)


def _scope(program: PulledProgram, window: Window, options: PullOptions) -> Scope:
    manifest = program.exported.manifest
    return Scope(
        function=program.name,
        type=manifest.functions[program.name].type,
        stages=manifest.stages,
        since=window.since,
        until=window.until,
        versions=options.versions,
        tags=options.tags,
        metrics=options.metrics,
        include=options.include,
        user=options.user_tag,
        raters=[tag for tag in (options.rater_tag, BY, options.user_tag) if tag],
    )


def _check(options: PullOptions) -> None:
    for one in options.include:
        if one not in INCLUDABLE:
            raise SettingsError(f"include {one!r}: there are {', '.join(INCLUDABLE)}.")
    if options.limit is not None and options.limit < 1:
        raise SettingsError(f"the limit {options.limit}: give a number above 0.")
