"""Production's examples, as JSON lines."""

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
    window: Annotated[str, typer.Option(metavar="LENGTH", help="45m, 12h, 30d or 4w, until now.")] = "30d",
    until: Annotated[str | None, typer.Option(metavar="TIME", help="End of the window (default: now).")] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Where to (default: stdout).")] = None,
    version: Annotated[list[str] | None, typer.Option(metavar="V", help="Only what V answered; repeatable.")] = None,
    tag: Annotated[list[str] | None, typer.Option(metavar="K=V", help="Only what has this tag; repeatable.")] = None,
    metric: Annotated[
        list[str] | None, typer.Option(metavar="M=VALUE", help="Only what has this latest value; repeatable.")
    ] = None,
    limit: Annotated[int | None, typer.Option(metavar="N", help="At most N, evenly over time.")] = None,
    include: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND", help="Also pinned, internal, evaluation or test rows; repeatable."),
    ] = None,
    no_fallbacks: Annotated[bool, typer.Option("--no-fallbacks", help="Without answers of a fallback.")] = False,
    configs: options.Configs = None,
    clickhouse_url: options.ClickhouseUrl = None,
    json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
    quiet: options.Quiet = False,
) -> None:
    """Print what NAME said in production, a JSON object a line: fields, feedback, origin, and the stages of the run.

    In the window is what was asked or was given feedback there. The summary goes to stderr: what was read, what was
    left out, and why.

    Example: t0dspy pull spec_to_review --window 30d --metric accepted=false --out failed.jsonl
    """
    from t0dspy.artifact.user_config import metrics
    from t0dspy.flywheel.pull.examples import Pull
    from t0dspy.flywheel.pull.plan import PullOptions, plan_pull, rater_options
    from t0dspy.flywheel.pull.window import time_of
    from t0dspy.warehouse.client import Warehouse

    where = options.settings(configs=configs, clickhouse_url=clickhouse_url)
    wanted = PullOptions(
        window=window,
        until=time_of(until) if until else None,
        versions=tuple(version or ()),
        tags=dict(_pair(one, "--tag") for one in tag or ()),
        metrics={key: _value(value, key) for key, value in (_pair(one, "--metric") for one in metric or ())},
        limit=limit,
        include=tuple(include or ()),
        fallbacks=not no_fallbacks,
        **rater_options(where, name),
    )
    plan = plan_pull(name, wanted, where.configs_dir)
    with Warehouse(where.clickhouse_url.value) as warehouse, output.progress(quiet) as progress:
        found = Pull(plan, warehouse)
        progress.say(f"asking for {name}")
        with _lines(out) as write:
            for example in found:
                write(example.to_line())
                if found.summary.examples % 1000 == 0:
                    progress.say(f"{found.summary.examples:,} examples")
    if not quiet:
        _report(found.summary, json=json)
        for one in wanted.metrics if not (found.summary.examples or json) else ():
            _say_if_unknown(one, metrics(where.configs_dir))


def _report(summary: "Summary", *, json: bool) -> None:
    import json as json_text
    import sys

    text = json_text.dumps(summary.to_json(), ensure_ascii=False) if json else "\n".join(summary.lines())
    print(text, file=sys.stderr)


def _say_if_unknown(metric: str, known: Collection[str]) -> None:
    """A name that no config has may be an old one, with feedback still; with none, it is more likely a slip."""
    if known and metric not in known:
        output.note(f"no config defines a metric {metric!r}; there are {', '.join(sorted(known))}.")


@contextmanager
def _lines(out: Path | None) -> Iterator[Callable[[str], object]]:
    """Writes lines, always in UTF-8; a file gets its name only when it is whole."""
    import sys

    if out is None:
        stdout = sys.stdout.buffer
        yield lambda line: stdout.write(line.encode() + b"\n")
        stdout.flush()
        return
    from t0dspy.errors import SettingsError

    try:
        with _file(out) as file:
            yield lambda line: file.write(line.encode() + b"\n")
    except OSError as error:
        raise SettingsError(f"--out {out}: cannot be written ({error.strerror}).") from error


def _file(out: Path) -> AbstractContextManager[IO[bytes]]:
    """The file to write: a new one beside `out` that its owner alone may read, or a device or pipe itself."""
    import os

    from localkit.atomic import open_replacement

    if out.exists() and not out.is_file():
        return out.open("wb")
    return open_replacement(out, suffix=f"{os.getpid()}.partial")


def _pair(text: str, flag: str) -> tuple[str, str]:
    from t0dspy.errors import SettingsError

    key, equals, value = text.partition("=")
    if not key or not equals:
        raise SettingsError(f"{flag} {text!r}: write a name, =, and a value, such as {flag} a=b.")
    return key, value


def _value(text: str, metric: str) -> bool | float:
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
