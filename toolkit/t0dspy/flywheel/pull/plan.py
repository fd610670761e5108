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
"""Kinds of rows that are not production and are left out unless requested."""


@dataclass(frozen=True)
class PullOptions:
    """Which inferences to pull; by default all production of the last 30 days."""

    window: str | timedelta = "30d"
    """Its length, such as `45m`, `12h`, `30d` or `4w`. An inference is in it if it, or its newest feedback, is."""
    until: datetime | None = None
    """Its end, by default now. Later feedback is ignored."""
    versions: Sequence[str] = ()
    """Only inferences that these versions answered; all when empty."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Only inferences with all of these tags."""
    metrics: Mapping[str, bool | float] = field(default_factory=dict)
    """Only inferences with these latest values."""
    limit: int | None = None
    """At most this many examples, spread evenly over time."""
    include: Sequence[str] = ()
    """Kinds of rows to include that are left out by default: `pinned`, `internal`, `evaluation`, `test`."""
    fallbacks: bool = True
    """Whether to include answers of a version that replaced another one; a comparison must leave them out."""
    user_tag: str = USER
    """The tag that names the user of an inference."""
    rater_tag: str | None = None
    """A tag of feedback that names its rater; it takes precedence over `t0dspy::by` and the user tag."""


@dataclass(frozen=True)
class PullPlan:
    """The queries of a pull."""

    program: PulledProgram
    parts: Sequence[tuple[PulledProgram, Scope]]
    """Programs and what to read of them: first those whose contract it broke, oldest first, then the program itself."""
    limit: int | None = None
    fallbacks: bool = True

    @property
    def scope(self) -> Scope:
        """Return the scope of the program itself."""
        return self.parts[-1][1]


def rater_options(settings: Settings, name: str) -> dict[str, Any]:
    """Return the options of a pull that identify users and raters, from the program's `curate` settings.

    Raises:
        SettingsError: a value is not the name of a tag.
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
    """Plan what `pull_examples` will read, without a database; `now` is the clock.

    Raises:
        SettingsError: an option is not valid.
        BundleError: the program was never exported, or not in that version.
    """
    _check(options)
    exported = read_pulled_program(configs, program, options.versions)
    window = window_of(options.window, options.until or now())
    before = () if options.versions else earlier_programs(configs, exported)
    parts = [(part, _scope(part, window, options)) for part in (*before, exported)]
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
    for kind in options.include:
        if kind not in INCLUDABLE:
            raise SettingsError(f"include {kind!r}: there are {', '.join(INCLUDABLE)}.")
    if options.limit is not None and options.limit < 1:
        raise SettingsError(f"the limit {options.limit}: give a number above 0.")
