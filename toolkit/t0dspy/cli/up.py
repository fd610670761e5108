"""`t0dspy up`: the embedded stack in the foreground."""

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
        typer.Option(
            metavar="HOST", help="Address to listen on; only ClickHouse asks for a password (default: 127.0.0.1)."
        ),
    ] = "127.0.0.1",
    gateway_port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="PORT", help="Of the gateway (default: 3000; 0 for any).")
    ] = 3000,
    clickhouse_port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="PORT", help="Of ClickHouse's HTTP interface (default: 8123).")
    ] = 8123,
    programs_port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="PORT", help="Of the program server (default: 8100).")
    ] = 8100,
    address: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=HOST:PORT", help="Where models live whose api_base has the host NAME; repeatable."),
    ] = None,
    drain: Annotated[
        float,
        typer.Option(
            min=0, metavar="SECONDS", help="Time to finish what is in flight after Ctrl-C or SIGTERM (default: 30)."
        ),
    ] = 30.0,
    only: Annotated[
        Part | None, typer.Option(metavar="PART", help="Run one part alone: clickhouse, gateway or programs.")
    ] = None,
    reload: Annotated[
        bool, typer.Option("--reload", help="Load changed code and configs at once; for development.")
    ] = False,
    allow_host: options.AllowHost = None,
    allow_origin: options.AllowOrigin = None,
    show_password: Annotated[
        bool,
        typer.Option(
            "--show-password", help="Print ClickHouse's URL with user and password; then exit, if a stack runs already."
        ),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but what goes wrong.")] = False,
) -> int:
    """Run the gateway, ClickHouse and the program server on this machine, without Docker.

    Prints `ready` and the URLs once an inference would work, and the programs that cannot run. Ctrl-C or SIGTERM
    finishes what is in flight, for at most the time of --drain, and stops; SIGHUP loads the configs and the programs'
    code again.

    Example: t0dspy up --gateway-port 3000
    """
    from t0dspy.stack.processes.plan import Plan
    from t0dspy.stack.processes.supervisor import Supervisor

    if show_password and (url := _secret_url(data_dir)):
        print(url)
        return 0
    allowed = options.allowed(allow_host, allow_origin, host)
    directory = options.settings(configs=configs).configs_dir
    parts = _parts(only)
    if host not in _LOCAL and only != "clickhouse":
        print(
            f"t0dspy: listening on {host}. The gateway and the program server authenticate nobody: "
            "whoever reaches them may use them.",
            file=sys.stderr,
        )
    plan = Plan(
        configs=_directory(directory) if "gateway" in parts else directory,
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
    )

    terminal = _Terminal(quiet=quiet, secret_url=(lambda: _secret_url(data_dir)) if show_password else lambda: None)

    if "gateway" in parts:
        terminal.minding(directory)

    async def run() -> int:
        return await Supervisor(plan, terminal).run()

    try:
        return asyncio.run(run())
    finally:
        terminal.close()


def _parts(only: Part | None) -> tuple[str, ...]:
    from t0dspy.stack.processes.programs import available

    if only == "programs" and not available():
        raise StackError("This version of t0dspy has no program server, so --only programs has nothing to run.")
    if only:
        return (only,)
    return ("clickhouse", "gateway", "programs") if available() else ("clickhouse", "gateway")


def _directory(configs: Path) -> Path:
    if not configs.is_dir():
        raise StackError(
            f"There is no config directory {configs}. Make one with `t0dspy init`, or name yours with --configs."
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
    """Return the database of a gateway that runs alone: the environment's, else the one here, with its password."""
    from t0dspy.stack.processes import credentials

    given = os.environ.get("TENSORZERO_CLICKHOUSE_URL")
    if given:
        return given
    url = f"http://127.0.0.1:{port}/tensorzero"
    secret = credentials.chosen(os.environ) or credentials.stored(data_dir)
    return secret.in_url(url) if secret else url


def _secret_url(data_dir: Path) -> str | None:
    """Return the URL, with user and password, of the database that runs on `data_dir`; None if none does."""
    from t0dspy.stack.processes.data_dir import find_clickhouse

    url = find_clickhouse(data_dir)
    return f"{url}/tensorzero" if url else None


def with_exceptions(event: str, problems: "Problems") -> str:
    """Return `event` with the programs that cannot run and why: one of them on its line, several below it."""
    found = [f"{program}: {reason.rstrip('.')}" for program, reason in problems.cannot_run.items()]
    if len(found) < 2:
        return f"{event}, except {found[0]}" if found else event
    return "\n".join([f"{event}, except", *(f"  {line}" for line in found)])


class _Terminal:
    """Shows a stack's life: `ready` and the URLs on stdout, everything else on stderr."""

    def __init__(self, *, quiet: bool, secret_url: Callable[[], str | None]) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._quiet, self._secret_url = quiet, secret_url
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=Console(stderr=True), transient=True, disable=quiet)
        self._task = self._progress.add_task("First start: ClickHouse's tables are being made", visible=False)
        self._announced = False
        self._configs: Path | None = None
        self._warned: set[str] = set()

    def minding(self, configs: Path) -> None:
        """Look after changes of traffic in `configs` that were cut off."""
        from t0dspy.rollout.on_start import before_start

        self._configs = configs
        before_start(configs, self.say)

    def preparing(self, migrations: int) -> None:
        from t0dspy.stack.processes.processes import MIGRATIONS

        if migrations < MIGRATIONS and not self._announced:
            self._announced = True
            if self._progress.console.is_terminal:
                self._progress.start()
            else:
                self.say("First start here: ClickHouse's tables are being made, which takes a few seconds.")
        self._progress.update(self._task, completed=migrations, total=MIGRATIONS, visible=self._announced)

    def ready(self, urls: dict[str, str], problems: "Problems") -> None:
        self.close()
        if self._configs is not None:
            from t0dspy.rollout.on_start import after_start

            after_start(self._configs, urls["gateway"], self.say)
        self._warn(problems)
        secret = self._secret_url()
        if self._quiet:
            for program, reason in problems.cannot_run.items():
                self.say(f"cannot run {program}: {reason}")
            print(secret or "", end="\n" if secret else "", flush=True)
            return
        print(with_exceptions("ready", problems))
        for part, url in (urls | ({"clickhouse": secret} if secret else {})).items():
            print(f"  {part:<10} {url}", flush=True)

    def reloaded(self, changed: Sequence[str], kept: str, problems: "Problems") -> None:
        """Say how a reload of the programs went: a line, and a warning for what is new."""
        shown = [path.removeprefix(f"{Path.cwd()}/") for path in changed]
        why = f" ({', '.join(shown[:3])}{' ...' if len(shown) > 3 else ''})" if shown else ""
        if kept:
            self.say(f"The programs keep the code that they had{why}: {kept}")
        elif not self._quiet or problems.cannot_run:
            self.say(with_exceptions(f"reloaded{why}", problems))
        self._warn(problems)

    def _warn(self, problems: "Problems") -> None:
        for warning in problems.warnings:
            if warning not in self._warned:
                self.say(f"warning: {warning}")
        self._warned = set(problems.warnings)

    def close(self) -> None:
        if self._progress.live.is_started:  # stopping it otherwise prints an empty line
            self._progress.stop()

    def say(self, text: str) -> None:
        if self._quiet and '"level": "info"' in text[:80]:  # a line of the program server's log
            return
        self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)
