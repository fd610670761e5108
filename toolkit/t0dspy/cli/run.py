"""`t0dspy run`: call an exported function once."""

from pathlib import Path
from typing import Annotated, Any

import typer

from t0dspy.cli import options, output


def run(
    name: Annotated[str, typer.Argument(metavar="NAME", help="An exported program, or a predictor's function.")],
    input: Annotated[str, typer.Option("--input", metavar="JSON|@FILE", help="The input fields, as a JSON object.")],
    variant: Annotated[
        str | None, typer.Option(metavar="V", help="Such as v2 (default: chosen by the shares).")
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option(metavar="K=V", help="A tag of the call, such as user_id=7; repeatable.")
    ] = None,
    configs: options.Configs = None,
    gateway_url: options.GatewayUrl = None,
) -> None:
    """Call NAME once and print one JSON object: inference_id, episode_id, variant, output.

    The input is checked against the exported schema before it is sent. DSPy's parser reads the output.

    Calls with the tag t0dspy::test are tests, whatever its value: `t0dspy pull` and `t0dspy retrain` leave them out.

    Example: t0dspy run spec_to_review --input '{"spec": "..."}' --tag t0dspy::test=true
    """
    from t0dspy.gateway import HttpGateway
    from t0dspy.runtime.functions import find_function
    from t0dspy.runtime.tags import parse_tags

    settings = options.read_settings(configs=configs, gateway_url=gateway_url)
    function = find_function(settings.configs_dir, name)
    call = function.call(_parse_fields(input), variant, parse_tags(tag or ()))
    gateway = HttpGateway(settings.gateway_url.value)
    try:
        inference = gateway.infer(call)
    finally:
        gateway.close()
    ids = {"inference_id": inference.inference_id, "episode_id": inference.episode_id, "variant": inference.variant}
    output.print_json({**ids, "output": function.read(inference)})


def _parse_fields(text: str) -> dict[str, Any]:
    import json

    from t0dspy.errors import SettingsError

    source = "--input"
    if text.startswith("@"):
        source = text[1:]
        try:
            text = Path(source).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"--input {source}: cannot be read ({error}).") from error
    try:
        fields = json.loads(text)
    except ValueError as error:
        raise SettingsError(f"{source}: not JSON ({error}). Write an object of input fields.") from error
    if not isinstance(fields, dict):
        raise SettingsError(f"{source}: is {type(fields).__name__}, not an object of input fields.")
    return fields
