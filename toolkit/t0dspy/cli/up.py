"""`t0dspy up`: run the embedded stack in the foreground."""

import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from t0dspy.cli import options
from t0dspy.errors import StackError

if TYPE_CHECKING:
    from t0dspy.readiness.problems import Problems

Part = Literal["clickhouse", "gateway", "programs"]

_LOCAL = ("127.0.0.1", "localhost", "::1")


def up(
    configs: options.Configs = None,
    data_dir: Annotated[
        Path, typer.Option(metavar="DIR", help="Where ClickHouse keeps its data (default: .t0dspy/stack).")
    ] = Path(".t0dspy/stack"),
    host: Annotated[
        str,
        typer.Option(metavar="HOST", help="Address to listen on; only ClickHouse has a password (default: 127.0.0.1)."),
    ] = "127.0.0.1",
    gateway_port: Annotated[
        int,
        typer.Option(
            min=0, max=65535, metavar="PORT", help="Port of the gateway; 0 for any free port (default: 3000)."
        ),
    ] = 3000,
    clickhouse_port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="PORT", help="Port of ClickHouse's HTTP interface (default: 8123).")
    ] = 8123,
    programs_port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="PORT", help="Port of the program server (default: 8100).")
    ] = 8100,
    address: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=HOST:PORT", help="The address of models whose api_base has the host NAME; repeatable."
        ),
    ] = None,
    drain: Annotated[
        float,
        typer.Option(
            min=0, metavar="SECONDS", help="Time limit for requests in flight after Ctrl-C or SIGTERM (default: 30)."
        ),
    ] = 30.0,
    only: Annotated[
        Part | None, typer.Option(metavar="PART", help="Run only one part: clickhouse, gateway or programs.")
    ] = None,
    reload: Annotated[
        bool, typer.Option("--reload", help="Reload code and configs when they change; for development.")
    ] = False,
    allow_host: options.AllowHost = None,
    allow_origin: options.AllowOrigin = None,
    show_password: Annotated[
        bool,
        typer.Option(
            "--show-password", help="Print ClickHouse's URL with user and password; exit if the stack already runs."
        ),
    ] = False,
    restore_rows: Annotated[
        bool, typer.Option("--restore-rows", help="Store again the acknowledged rows that ClickHouse had refused.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only errors and warnings.")] = False,
) -> int:
    """Run the gateway, ClickHouse and the program server on this machine, without Docker.

    The command prints `ready`, the URLs, and the programs that cannot run, as soon as the stack can answer inferences.
    After Ctrl-C or SIGTERM it finishes the requests in flight, for at most the time given with --drain, and stops.
    With SIGHUP it reloads the configs and the programs' code.

    Example: t0dspy up --gateway-port 3000
    """
    from t0dspy.stack.processes.plan import Plan
    from t0dspy.stack.processes.supervisor import Supervisor

    if show_password and (url := _secret_url(data_dir)):
        print(url)
        return 0
    allowed = options.parse_allowed(allow_host, allow_origin, host)
    directory = options.read_settings(configs=configs).configs_dir
    parts = _parts(only)
    if host not in _LOCAL and only != "clickhouse":
        print(
            f"t0dspy: listening on {host}. The gateway does not authenticate its callers: anyone who can reach it can "
            "use it.",
            file=sys.stderr,
        )
    plan = Plan(
        configs=_checked_directory(directory) if "gateway" in parts else directory,
        data_dir=data_dir.absolute(),
        host=host,
        gateway_port=gateway_port,
        clickhouse_port=clickhouse_port,
        programs_port=programs_port,
        parts=parts,
        addresses=_addresses(address or []),
        clickhouse_url=_clickhouse_url(clickhouse_port, data_dir) if only == "gateway" else None,
        allowed_flags=allowed.flags(),
        watched=(Path().absolute(), directory.absolute()) if reload else None,
        drain=drain,
        restore_rows=restore_rows,
    )

    terminal = _Terminal(quiet=quiet, secret_url=(lambda: _secret_url(data_dir)) if show_password else lambda: None)

    if "gateway" in parts:
        terminal.finish_changes(directory)

    async def run() -> int:
        return await Supervisor(plan, terminal).run()

    try:
        return asyncio.run(run())
    finally:
        terminal.close()


def _parts(only: Part | None) -> tuple[str, ...]:
    return (only,) if only else ("clickhouse", "gateway", "programs")


def _checked_directory(configs: Path) -> Path:
    if not configs.is_dir():
        raise StackError(
            f"There is no config directory {configs}. Create one with `t0dspy init`, or give its path with --configs."
        )
    return configs


def _addresses(flags: list[str]) -> dict[str, str]:
    from t0dspy.stack.gateway.addresses import configured_addresses, parse_address

    addresses = configured_addresses(Path())
    for flag in flags:
        name, _, value = flag.partition("=")
        addresses[name] = parse_address(name, value)
    return addresses


def _clickhouse_url(port: int, data_dir: Path) -> str:
    """Return the database URL for a gateway that runs alone: from the environment, else the local one with password."""
    from t0dspy.stack.processes import credentials

    given = os.environ.get("TENSORZERO_CLICKHOUSE_URL")
    if given:
        return given
    url = f"http://127.0.0.1:{port}/tensorzero"
    secret = credentials.read_environment(os.environ) or credentials.read_stored(data_dir)
    return secret.in_url(url) if secret else url


def _secret_url(data_dir: Path) -> str | None:
    """Return the URL, with user and password, of the ClickHouse that runs on `data_dir`; None if none runs."""
    from t0dspy.stack.processes.data_dir import find_clickhouse

    url = find_clickhouse(data_dir)
    return f"{url}/tensorzero" if url else None


def with_exceptions(event: str, problems: "Problems") -> str:
    """Return `event` with the programs that cannot run: a single program on the same line, several on lines below."""
    exceptions = [f"{program}: {reason.rstrip('.')}" for program, reason in problems.cannot_run.items()]
    if len(exceptions) < 2:
        return f"{event}, except {exceptions[0]}" if exceptions else event
    return "\n".join([f"{event}, except", *(f"  {line}" for line in exceptions)])


class _Terminal:
    """Prints the events of a stack: `ready` and the URLs to stdout, everything else to stderr."""

    def __init__(self, *, quiet: bool, secret_url: Callable[[], str | None]) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._quiet, self._secret_url = quiet, secret_url
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=Console(stderr=True), transient=True, disable=quiet)
        self._task = self._progress.add_task("First start: creating ClickHouse's tables", visible=False)
        self._announced = False
        self._configs: Path | None = None
        self._warned: set[str] = set()

    def finish_changes(self, configs: Path) -> None:
        """Undo changes of traffic in `configs` that were interrupted, and report again when the stack is ready."""
        from t0dspy.rollout.on_start import before_start

        self._configs = configs
        before_start(configs, self.show_message)

    def show_migrations(self, migrations: int) -> None:
        """Show how many of ClickHouse's migrations are done, if this is the first start."""
        from t0dspy.stack.processes.processes import MIGRATIONS

        if migrations < MIGRATIONS and not self._announced:
            self._announced = True
            if self._progress.console.is_terminal:
                self._progress.start()
            else:
                self.show_message("First start: creating ClickHouse's tables, which takes a few seconds.")
        self._progress.update(self._task, completed=migrations, total=MIGRATIONS, visible=self._announced)

    def show_ready(self, urls: dict[str, str], problems: "Problems") -> None:
        """Print that the stack is ready, its URLs and its problems."""
        self.close()
        if self._configs is not None:
            from t0dspy.rollout.on_start import after_start

            after_start(self._configs, urls["gateway"], self.show_message)
        self._warn(problems)
        secret = self._secret_url()
        if self._quiet:
            for program, reason in problems.cannot_run.items():
                self.show_message(f"cannot run {program}: {reason}")
            print(secret or "", end="\n" if secret else "", flush=True)
            return
        print(with_exceptions("ready", problems))
        for part, url in (urls | ({"clickhouse": secret} if secret else {})).items():
            print(f"  {part:<10} {url}", flush=True)

    def show_reload(self, changed: Sequence[str], kept: str, problems: "Problems") -> None:
        """Print the outcome of a reload of the programs, and new warnings.

        Args:
            changed: the files whose change caused the reload.
            kept: the reason why the programs kept their old code; empty if they were reloaded.
            problems: the programs that cannot run, and warnings.
        """
        paths = [path.removeprefix(f"{Path.cwd()}/") for path in changed]
        cause = f" ({', '.join(paths[:3])}{' ...' if len(paths) > 3 else ''})" if paths else ""
        if kept:
            self.show_message(f"The programs keep the old code{cause}: {kept}")
        elif not self._quiet or problems.cannot_run:
            self.show_message(with_exceptions(f"reloaded{cause}", problems))
        self._warn(problems)

    def _warn(self, problems: "Problems") -> None:
        for warning in problems.warnings:
            if warning not in self._warned:
                self.show_message(f"warning: {warning}")
        self._warned = set(problems.warnings)

    def close(self) -> None:
        """Remove the progress bar."""
        if self._progress.live.is_started:  # rich prints an empty line when a bar that never started is stopped
            self._progress.stop()

    def show_message(self, text: str) -> None:
        """Print a line to stderr; with --quiet, leave out the program server's info lines."""
        if self._quiet and '"level": "info"' in text[:80]:  # a line of the program server's log
            return
        self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)
