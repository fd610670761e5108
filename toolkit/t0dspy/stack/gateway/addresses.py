"""Replace compose service names in the config by local addresses.

A config for compose contains service names (`http://programs:8100/v1`), which do not resolve without Docker. The
embedded stack therefore loads a copy of the config in which only these names are replaced. The user's files stay
unchanged.
"""

import re
import shutil
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import tomlkit
from tomlkit.exceptions import TOMLKitError

from t0dspy.errors import SettingsError

Addresses = Mapping[str, str]
"""Maps a service name to `host:port` on this machine."""

_HOST_AND_PORT = re.compile(r"(?P<host>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\]):(?P<port>\d{1,5})")


def parse_address(name: str, value: object) -> str:
    """Return `value` if it is an address.

    Raises:
        SettingsError: `value` is not `host:port`.
    """
    match = _HOST_AND_PORT.fullmatch(value) if isinstance(value, str) else None
    if not match or not 0 < int(match["port"]) < 65536:
        raise SettingsError(f"The address of {name!r} is {value!r}. Write it as host:port, such as 127.0.0.1:8200.")
    return match[0]


def configured_addresses(project: Path) -> dict[str, str]:
    """Read the table `[tool.t0dspy.stack.addresses]` of pyproject.toml, or `[stack.addresses]` of t0dspy.toml.

    Raises:
        SettingsError: the file cannot be read, or an address is not `host:port`.
    """
    for file, path in (
        ("t0dspy.toml", ("stack", "addresses")),
        ("pyproject.toml", ("tool", "t0dspy", "stack", "addresses")),
    ):
        table = _table(project / file, path)
        if table is not None:
            return {name: parse_address(name, value) for name, value in table.items()}
    return {}


def _table(file: Path, path: tuple[str, ...]) -> Mapping[str, object] | None:
    try:
        value: Any = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise SettingsError(f"{file} cannot be read: {error}. Correct or remove it.") from error
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else None


def resolve(configs: Path, addresses: Addresses, scratch: Path) -> Path:
    """Return the directory to load: `configs`, or a copy of it below `scratch` that contains `addresses`.

    The copy has real directories, rewritten TOML files, and symbolic links to all other files, so that relative paths
    of templates stay valid. `scratch` is emptied first.
    """
    rewritten = {path: text for path in configs.rglob("*.toml") if (text := _rewritten(path, addresses)) is not None}
    shutil.rmtree(scratch, ignore_errors=True)
    if not rewritten:
        return configs
    likeness = scratch / "/".join(configs.resolve().parts[1:])
    _mirror(configs.resolve(), likeness)
    for path, text in rewritten.items():
        copy = likeness / path.relative_to(configs)
        copy.unlink()
        copy.write_text(text, encoding="utf-8")
    _mirror_surroundings(configs.resolve(), likeness)
    return likeness


def _rewritten(path: Path, addresses: Addresses) -> str | None:
    try:
        document = tomlkit.parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, TOMLKitError):
        return None  # the gateway reads the file too, and reports the error
    changed = False
    for provider in _providers(document):
        base = provider.get("api_base")
        local = _localized(base, addresses) if isinstance(base, str) else None
        if local is not None:
            provider["api_base"], changed = local, True
    return tomlkit.dumps(document) if changed else None


def _providers(document: Mapping[str, Any]) -> Iterator[Any]:
    for kind in ("models", "embedding_models"):
        models = document.get(kind)
        for model in models.values() if isinstance(models, dict) else ():
            providers = model.get("providers") if isinstance(model, dict) else None
            yield from (p for p in (providers.values() if isinstance(providers, dict) else ()) if isinstance(p, dict))


def _localized(url: str, addresses: Addresses) -> str | None:
    try:
        parts = urlsplit(url)
        address = addresses.get(parts.hostname or "")
    except ValueError:
        return None
    if address is None:
        return None
    user, at, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=user + at + address))


def _mirror(source: Path, target: Path) -> None:
    """Create the directories that contain TOML, because paths are relative to them, and link everything else."""
    target.mkdir(parents=True)
    for entry in source.iterdir():
        if entry.is_dir() and not entry.is_symlink() and any(entry.rglob("*.toml")):
            _mirror(entry, target / entry.name)
        else:
            (target / entry.name).symlink_to(entry)


def _mirror_surroundings(configs: Path, likeness: Path) -> None:
    """Link the files outside `configs` that the config can reach through `../`."""
    up = max((text.count("../") for text in map(_text, configs.rglob("*.toml"))), default=0)
    for source, target in list(zip(configs.parents, likeness.parents, strict=False))[: min(up, len(configs.parents))]:
        for entry in source.iterdir():
            if not (target / entry.name).exists():
                (target / entry.name).symlink_to(entry)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""
