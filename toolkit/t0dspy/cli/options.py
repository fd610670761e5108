"""Options that several verbs share, and their combination with the settings."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from t0dspy.settings import Settings, load_settings

if TYPE_CHECKING:
    from localkit.web_pages import Allowed
    from t0dspy.exporting.options import ExportOptions
    from t0dspy.rollout.apply import Applied, Place


class Adapter(StrEnum):
    """Values of `--adapter`."""

    chat = "chat"
    json = "json"
    xml = "xml"


class Demos(StrEnum):
    """Values of `--demos`."""

    turns = "turns"
    system = "system"


Configs = Annotated[
    Path | None, typer.Option("--configs", metavar="DIR", help="Directory of TensorZero's config (default: configs).")
]
_ELSE = "settings, the running embedded stack, localhost"
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
    typer.Option("--verbose", help="Print, for each predictor, how many inputs have other messages in stock DSPy."),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print nothing when all is well.")]

AllowHost = Annotated[
    list[str] | None,
    typer.Option(metavar="H", help="An additional name or IP address that the Host header may have; repeatable."),
]
AllowOrigin = Annotated[
    list[str] | None,
    typer.Option(
        metavar="O", help="The origin of a web page that may send requests: http://localhost:5173; repeatable."
    ),
]

Reason = Annotated[str | None, typer.Option(metavar="TEXT", help="The reason, for the program's history.")]


def read_settings(
    configs: Path | None = None, gateway_url: str | None = None, clickhouse_url: str | None = None
) -> Settings:
    """Return the project's settings, overridden by the command line, with the URLs of the running embedded stack."""
    from t0dspy.stack.processes.locate import locate

    return locate(load_settings(configs=configs, gateway_url=gateway_url, clickhouse_url=clickhouse_url))


def parse_allowed(hosts: list[str] | None, origins: list[str] | None, listening_on: str) -> "Allowed":
    """Return the hosts and origins that `--allow-host` and `--allow-origin` allow.

    Raises:
        SettingsError: a host or an origin is invalid.
    """
    from localkit.web_pages import Allowed
    from t0dspy.errors import SettingsError, translate_local_errors

    with translate_local_errors(SettingsError):
        return Allowed.parse(hosts or [], origins or [], listening_on)


def make_place(quiet: bool, configs: Path | None, gateway_url: str | None, clickhouse_url: str | None) -> "Place":
    """Return the configs and the gateway that a change of traffic is about, with progress notes on stderr."""
    from t0dspy.cli import output
    from t0dspy.rollout.apply import Place

    settings = read_settings(configs=configs, gateway_url=gateway_url, clickhouse_url=clickhouse_url)
    return Place.of(settings, (lambda text: None) if quiet else output.note)


def prepare_apply(settings: Settings, quiet: bool) -> "Callable[[str], Applied]":
    """Check that a config can be applied, and return the function that applies what is written after this call.

    Raises:
        RolloutError: there is no gateway to apply to.
    """
    from t0dspy.cli import output
    from t0dspy.rollout.apply import Place, check_toml, choose
    from t0dspy.rollout.pending import config_files
    from t0dspy.rollout.rollout import apply_written

    place = Place.of(settings, (lambda text: None) if quiet else output.note)
    choose(place)
    check_toml(place.configs)
    before = config_files(place.configs)
    return lambda action: apply_written(place, action, before)


Examples = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Your own inputs as JSON lines: objects of fields, or output of `pull`."),
]


def read_inputs(file: Path | None) -> list[dict[str, Any]]:
    """Return the inputs in the file of `--examples`; empty if it is not given."""
    from t0dspy.flywheel.split.user_lines import read_examples

    return list(read_examples(file)) if file else []


def parse_models(flags: Sequence[str]) -> tuple[str | None, dict[str, str]]:
    """Return the model for every LM, None if no flag names it, and the models by name, from the values of `--model`.

    Raises:
        SettingsError: two flags name a model for every LM, or a flag lacks a part.
    """
    from t0dspy.errors import SettingsError

    alone, named = [flag for flag in flags if "=" not in flag], {}
    if len(alone) > 1:
        raise SettingsError(f"--model {alone[0]} and --model {alone[1]}: write NAME=MODEL to name several models.")
    for flag in flags:
        name, equals, model = flag.rpartition("=")
        if equals and not (name and model):
            raise SettingsError(f"--model {flag}: write NAME=MODEL, such as draft=openai::gpt-4o-mini.")
        if equals:
            named[name] = model
    return (alone[0] if alone else None), named


def with_program_settings(program: str, given: "ExportOptions", settings: Settings) -> tuple[str, "ExportOptions"]:
    """Return the import path of `program` and the export options, completed from the program's settings.

    Args:
        program: a name from the settings, or an import path, for which only the project's models are added.
        given: the options from the command line, which take precedence.
        settings: the project's settings.

    Raises:
        SettingsError: `program` is neither a configured name nor an import path.
    """
    from t0dspy.errors import SettingsError

    if program not in settings.programs:
        if ":" not in program:
            known = ", ".join(settings.programs) or "none"
            file = settings.file or "pyproject.toml or t0dspy.toml"
            raise SettingsError(
                f"no program {program!r} in {file} (configured: {known}), and it is not an import path such as "
                "app.review:program."
            )
        return program, replace(given, lms=settings.models)
    known_settings = settings.programs[program]
    base = settings.file.parent if settings.file else Path()
    filled: dict[str, Any] = {
        "name": given.name or program,
        "state": given.state or (base / known_settings.state if known_settings.state else None),
        "models": {**known_settings.models, **given.models},
        "lms": settings.models,
        "keep": given.keep or known_settings.keep,
        "run_proof": given.run_proof and known_settings.run_proof,
        "stages_only": given.stages_only or known_settings.stages_only,
        "stage_timeout": known_settings.stage_timeout,
        "run_timeout": known_settings.run_timeout,
    }
    for key in ("model", "adapter", "demos", "signature"):
        filled[key] = getattr(given, key) or getattr(known_settings, key)
    return known_settings.program, replace(given, **filled)
