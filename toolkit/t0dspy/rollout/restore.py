"""Restore config files, and keep the refused files next to them."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from localkit.atomic import replace_file
from t0dspy.artifact import bundle
from t0dspy.artifact.bundle import MANIFEST, ROLLOUT
from t0dspy.artifact.exported import program_directories
from t0dspy.artifact.manifest import Change, parse_manifest
from t0dspy.artifact.names import quoted
from t0dspy.artifact.rollout_toml import read_shares
from t0dspy.errors import BundleError, RolloutError
from t0dspy.rollout.pending import REFUSED, Files, config_files


def restore(configs: Path, old: Files, time: str, reason: str) -> list[str]:
    """Replace the files below `configs` with `old`. After a kill, a repeated call continues where the first stopped.

    A changed or new file is kept with the suffix `.refused`, except for rollout.toml, because the program's history
    records its shares.

    Args:
        configs: the directory of configs.
        old: the texts of the old files, by path.
        time: the current time, in the format of the history.
        reason: why the gateway refused the config, for the history.

    Returns:
        The files that were kept with the suffix `.refused`.

    Raises:
        RolloutError: a file cannot be written.
        BundleError: another process is writing a program.
    """
    _check_inside(old)
    with ExitStack() as locks:
        for directory in program_directories(configs):
            locks.enter_context(bundle.lock(directory))
        now = config_files(configs)
        target = {**old, **dict(_manifests(configs, old, now, time, reason))}
        try:
            return sorted(_replace(configs, target, now))
        except OSError as error:
            raise RolloutError(f"{error.filename}: cannot be restored ({error.strerror}).") from error


def _check_inside(old: Files) -> None:
    """Check that all paths are below the configs, because the record of old files may have been tampered with."""
    for name in old:
        if name.startswith("/") or {"", ".."} & set(name.split("/")) or "\0" in name:
            raise RolloutError(f"the record of served files names {quoted(name)}, which is not below the configs.")


def _replace(configs: Path, target: Files, now: Files) -> Iterator[str]:
    for name in now.keys() - target.keys():
        (configs / name).replace(configs / f"{name}{REFUSED}")
        yield f"{name}{REFUSED}"
    for name, text in sorted(target.items(), key=lambda item: not item[0].endswith(MANIFEST)):
        if now.get(name) == text:
            continue
        if name in now and name.rpartition("/")[2] not in (MANIFEST, ROLLOUT):
            _write(configs / f"{name}{REFUSED}", now[name])
            yield f"{name}{REFUSED}"
        _write(configs / name, text)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, text.encode("utf-8", "surrogateescape"), keep_mode=True)


def _history(text: str, path: str) -> Sequence[Change]:
    try:
        return parse_manifest(text, path).history
    except BundleError:  # a damaged manifest is replaced by the old one
        return ()


def _manifests(configs: Path, old: Files, now: Files, time: str, reason: str) -> Iterator[tuple[str, str]]:
    """Yield the old manifests, with the refused shares added to their histories."""
    for name, text in old.items():
        rollout = f"{name.removesuffix(MANIFEST)}{ROLLOUT}"
        if not name.endswith(f"/{MANIFEST}") or name not in now or now[name] == text or rollout not in old:
            continue
        manifest = parse_manifest(text, str(configs / name))
        history = _history(now[name], str(configs / name))
        added = [change for change in history if change not in manifest.history and change.before == change.after]
        if not added and now.get(rollout) != old[rollout]:
            shares = read_shares(old[rollout], manifest, str(configs / rollout))
            added = [Change(time, f"put back: {reason}", shares, shares)]
        yield name, replace(manifest, history=(*manifest.history, *added)).to_json()
