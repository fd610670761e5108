"""Load exported files into the real gateway, with a recorder in place of every provider."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from t0dspy.errors import BundleError
from t0dspy.gateway import Gateway, embedded_gateway

RECORDER = "t0dspy_recorder"
MODEL_NAME = "recorded"
"""The model name that DSPy and the gateway send to the recorder."""


@contextmanager
def gateway_with_recorder(files: Mapping[str, str], recorder_url: str) -> Iterator[Gateway]:
    """Run the gateway on the program's `files` (path -> text), with the recorder as every model.

    Only the names of models and the addresses of providers change.

    Raises:
        GatewayError: if TensorZero rejects the config.
        BundleError: if a file is not valid TOML.
    """
    with tempfile.TemporaryDirectory(prefix="t0dspy-verify-") as place:
        root = Path(place)
        for path, text in files.items():
            target = root / "program" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((_with_recorder(text, path, recorder_url) if path.endswith(".toml") else text).encode())
        models = {RECORDER: {"routing": ["recorder"], "providers": {"recorder": _provider(recorder_url)}}}
        (root / "models.toml").write_text(tomlkit.dumps({"models": models}), encoding="utf-8")
        with embedded_gateway(root) as gateway:
            yield gateway


def _provider(url: str) -> dict[str, Any]:
    return {"type": "openai", "model_name": MODEL_NAME, "api_base": f"{url}/", "api_key_location": "none"}


def _with_recorder(text: str, path: str, url: str) -> str:
    try:
        config = tomlkit.parse(text).unwrap()
    except TOMLKitError as error:
        advice = "Restore it from version control, or export the program anew"
        raise BundleError(f"{path}: not valid TOML: {error}. {advice}.") from error
    for function in config.get("functions", {}).values():
        for variant in function.get("variants", {}).values():
            variant["model"] = RECORDER
    for model in config.get("models", {}).values():
        model["providers"] = {name: _provider(url) for name in model["providers"]}
    return tomlkit.dumps(config)
