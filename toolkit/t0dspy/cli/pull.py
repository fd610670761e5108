"""`t0dspy pull`: print production examples as JSON lines."""

from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from t0dspy.cli import options, output

if TYPE_CHECKING:
    from t0dspy.flywheel.pull.summary import Summary


def pull(
    name: Annotated[str, typer.Argument(metavar="NAME", help="An exported program.")],
    window: Annotated[str, typer.Option(metavar="LENGTH", help="Length of the window: 45m, 12h, 30d or 4w.")] = "30d",
    until: Annotated[str | None, typer.Option(metavar="TIME", help="End of the window (default: now).")] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="The file to write (default: stdout).")] = None,
    version: Annotated[list[str] | None, typer.Option(metavar="V", help="Only answers of V; repeatable.")] = None,
    tag: Annotated[
        list[str] | None, typer.Option(metavar="K=V", help="Only inferences with this tag; repeatable.")
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(metavar="M=VALUE", help="Only inferences whose latest value of M is VALUE; repeatable."),
    ] = None,
    limit: Annotated[int | None, typer.Option(metavar="N", help="At most N examples, spread evenly over time.")] = None,
    include: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND", help="Include pinned, internal, evaluation or test rows; repeatable."),
    ] = None,
    no_fallbacks: Annotated[bool, typer.Option("--no-fallbacks", help="Leave out answers of a fallback.")] = False,
    configs: options.Configs = None,
    clickhouse_url: options.ClickhouseUrl = None,
    json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
    quiet: options.Quiet = False,
) -> None:
    """Print the production examples of NAME as JSON lines: fields, feedback, origin, and the stages of the run.

    An inference is in the window if it was made there or got feedback there. A summary on stderr lists what was read,
    what was left out, and why.

    Example: t0dspy pull spec_to_review --window 30d --metric accepted=false --out failed.jsonl
    """
    from t0dspy.artifact.user_config import metrics
    from t0dspy.flywheel.pull.examples import Pull
    from t0dspy.flywheel.pull.plan import PullOptions, plan_pull, rater_options
    from t0dspy.flywheel.pull.window import time_of
    from t0dspy.runtime.tags import parse_pair
    from t0dspy.warehouse.client import Warehouse

    settings = options.read_settings(configs=configs, clickhouse_url=clickhouse_url)
    wanted = PullOptions(
        window=window,
        until=time_of(until) if until else None,
        versions=tuple(version or ()),
        tags=dict(parse_pair(pair, "--tag") for pair in tag or ()),
        metrics={
            key: _parse_value(value, key) for key, value in (parse_pair(pair, "--metric") for pair in metric or ())
        },
        limit=limit,
        include=tuple(include or ()),
        fallbacks=not no_fallbacks,
        **rater_options(settings, name),
    )
    plan = plan_pull(name, wanted, settings.configs_dir)
    with Warehouse(settings.clickhouse_url.value) as warehouse, output.progress(quiet) as progress:
        examples = Pull(plan, warehouse)
        summary = examples.summary
        progress.show(f"querying {name}")
        with _open_lines(out) as write:
            for example in examples:
                write(example.to_line())
                if summary.examples % 1000 == 0:
                    progress.show(f"{summary.examples:,} examples")
    if not quiet:
        _print_summary(summary, json=json)
        for metric_name in wanted.metrics if not (summary.examples or json) else ():
            _note_if_unknown(metric_name, metrics(settings.configs_dir))


def _print_summary(summary: "Summary", *, json: bool) -> None:
    import json as json_text
    import sys

    text = json_text.dumps(summary.to_json(), ensure_ascii=False) if json else "\n".join(summary.lines())
    print(text, file=sys.stderr)


def _note_if_unknown(metric: str, known: Collection[str]) -> None:
    """Print a note if no config defines `metric`.

    It is not an error, because a metric that was removed from the config may still have feedback.
    """
    if known and metric not in known:
        output.note(f"no config defines a metric {metric!r}; there are {', '.join(sorted(known))}.")


@contextmanager
def _open_lines(out: Path | None) -> Iterator[Callable[[str], object]]:
    """Yield a function that writes a line in UTF-8; a file gets its name only after the last line."""
    import sys

    if out is None:
        stdout = sys.stdout.buffer
        yield lambda line: stdout.write(line.encode() + b"\n")
        stdout.flush()
        return
    from t0dspy.errors import SettingsError

    try:
        with _open_file(out) as file:
            yield lambda line: file.write(line.encode() + b"\n")
    except OSError as error:
        raise SettingsError(f"--out {out}: cannot be written ({error.strerror}).") from error


def _open_file(out: Path) -> AbstractContextManager[IO[bytes]]:
    """Open a new file next to `out` that only its owner may read, or `out` itself if it is a device or a pipe."""
    import os

    from localkit.atomic import open_replacement

    if out.exists() and not out.is_file():
        return out.open("wb")
    return open_replacement(out, suffix=f"{os.getpid()}.partial")


def _parse_value(text: str, metric: str) -> bool | float:
    import math

    from t0dspy.errors import SettingsError

    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise SettingsError(f"--metric {metric}={text}: a metric's value is true, false or a number.")
    return value
