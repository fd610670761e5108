"""Options that several verbs share, and how they meet the settings."""

from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from t0dspy.settings import Settings, load_settings

if TYPE_CHECKING:
    from localkit.web_pages import Allowed
    from t0dspy.exporting import ExportOptions
    from t0dspy.rollout.apply import Applied, Place


class Adapter(StrEnum):
    """`--adapter`."""

    chat = "chat"
    json = "json"


class Demos(StrEnum):
    """`--demos`."""

    turns = "turns"
    system = "system"


Configs = Annotated[
    Path | None, typer.Option("--configs", metavar="DIR", help="Directory of TensorZero's config (default: configs).")
]
_ELSE = "settings, the stack that runs here, localhost"
GatewayUrl = Annotated[
    str | None,
    typer.Option("--gateway-url", metavar="URL", help=f"The gateway (default: TENSORZERO_GATEWAY_URL, {_ELSE})."),
]
ClickhouseUrl = Annotated[
    str | None,
    typer.Option("--clickhouse-url", metavar="URL", help=f"ClickHouse (default: TENSORZERO_CLICKHOUSE_URL, {_ELSE})."),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Verbose = Annotated[
    bool,
    typer.Option("--verbose", help="Count the inputs whose messages differ from stock DSPy's, for each predictor."),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print nothing when all is well.")]

AllowHost = Annotated[
    list[str] | None,
    typer.Option(metavar="H", help="A further name or IP address that requests may have as their Host; repeatable."),
]
AllowOrigin = Annotated[
    list[str] | None,
    typer.Option(
        metavar="O", help="Origin of a web page that may send requests, such as http://localhost:5173; repeatable."
    ),
]

Reason = Annotated[str | None, typer.Option(metavar="TEXT", help="Why, for the program's history.")]


def settings(
    configs: Path | None = None, gateway_url: str | None = None, clickhouse_url: str | None = None
) -> Settings:
    """The project's settings, with what was given on the command line, and the URLs of the stack that runs here."""
    from t0dspy.stack.processes.locate import locate

    return locate(load_settings(configs=configs, gateway_url=gateway_url, clickhouse_url=clickhouse_url))


def allowed(hosts: list[str] | None, origins: list[str] | None, listening_on: str) -> "Allowed":
    """Return what `--allow-host` and `--allow-origin` allow. Raises SettingsError for a wrong host or origin."""
    from localkit.web_pages import Allowed
    from t0dspy.errors import SettingsError, translate_local_errors

    with translate_local_errors(SettingsError):
        return Allowed.parse(hosts or [], origins or [], listening_on)


def place(quiet: bool, configs: Path | None, gateway_url: str | None, clickhouse_url: str | None) -> "Place":
    """Where a change of traffic is written, and who is to serve it; it says what it does on stderr."""
    from t0dspy.cli import output
    from t0dspy.rollout.apply import Place

    found = settings(configs=configs, gateway_url=gateway_url, clickhouse_url=clickhouse_url)
    return Place.of(found, (lambda text: None) if quiet else output.note)


def applying(settings: Settings, quiet: bool) -> "Callable[[str], Applied]":
    """What has the gateway serve what is written from now on; raises RolloutError when there is no gateway."""
    from t0dspy.cli import output
    from t0dspy.rollout.apply import Place, check_toml, choose
    from t0dspy.rollout.pending import config_files
    from t0dspy.rollout.rollout import apply_written

    place = Place.of(settings, (lambda text: None) if quiet else output.note)
    choose(place)
    check_toml(place.configs)
    before = config_files(place.configs)
    return lambda what: apply_written(place, what, before)


def configured(program: str, given: "ExportOptions", settings: Settings) -> tuple[str, "ExportOptions"]:
    """The import path of PROGRAM, and `given` completed from its settings where it is a name from there.

    Raises:
        SettingsError: it is neither a configured name nor an import path.
    """
    from t0dspy.errors import SettingsError

    if program not in settings.programs:
        if ":" not in program:
            known = ", ".join(settings.programs) or "none"
            where = settings.file or "pyproject.toml or t0dspy.toml"
            raise SettingsError(
                f"no program {program!r} in {where} (configured: {known}), and it is no import path such as "
                "app.review:program."
            )
        return program, given
    known_settings = settings.programs[program]
    base = settings.file.parent if settings.file else Path()
    filled: dict[str, Any] = {
        "name": given.name or program,
        "state": given.state or (base / known_settings.state if known_settings.state else None),
        "stages_only": given.stages_only or known_settings.stages_only,
        "stage_timeout": known_settings.stage_timeout,
        "run_timeout": known_settings.run_timeout,
    }
    for key in ("model", "adapter", "demos", "signature"):
        filled[key] = getattr(given, key) or getattr(known_settings, key)
    return known_settings.program, replace(given, **filled)
