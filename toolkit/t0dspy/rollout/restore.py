"""Putting config files back as they were; what the gateway refused is kept beside them, never lost."""

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
    """Make the files below `configs` those of `old`; done again after a kill, it goes on where it stopped.

    A file that changed or is new is kept under its name with `.refused` at the end, but for rollout.toml, whose shares
    go into the program's history.

    Args:
        configs: the directory of configs.
        old: path -> text.
        time: now, as history records it.
        reason: why the gateway refused, for the history.

    Returns:
        The files that are set aside.

    Raises:
        RolloutError: the disk refuses.
        BundleError: somebody else is writing a program.
    """
    _check_inside(old)
    with ExitStack() as locks:
        for directory in program_directories(configs):
            locks.enter_context(bundle.locked(directory))
        now = config_files(configs)
        target = {**old, **dict(_manifests(configs, old, now, time, reason))}
        try:
            return sorted(_replaced(configs, target, now))
        except OSError as error:
            raise RolloutError(f"{error.filename}: cannot be put back ({error.strerror}).") from error


def _check_inside(old: Files) -> None:
    """The record is a file that anybody could have changed, and its names become paths."""
    for name in old:
        if name.startswith("/") or {"", ".."} & set(name.split("/")) or "\0" in name:
            raise RolloutError(f"the record of what served names {quoted(name)}, which is not below the configs.")


def _replaced(configs: Path, target: Files, now: Files) -> Iterator[str]:
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


def _history(text: str, where: str) -> Sequence[Change]:
    try:
        return parse_manifest(text, where).history
    except BundleError:  # broken by hand: the old one comes back whole
        return ()


def _manifests(configs: Path, old: Files, now: Files, time: str, reason: str) -> Iterator[tuple[str, str]]:
    """The old manifests, their histories telling of the shares that were refused."""
    for name, text in old.items():
        rollout = f"{name.removesuffix(MANIFEST)}{ROLLOUT}"
        if not name.endswith(f"/{MANIFEST}") or name not in now or now[name] == text or rollout not in old:
            continue
        manifest = parse_manifest(text, str(configs / name))
        history = _history(now[name], str(configs / name))
        told = [change for change in history if change not in manifest.history and change.before == change.after]
        if not told and now.get(rollout) != old[rollout]:
            shares = read_shares(old[rollout], manifest, str(configs / rollout))
            told = [Change(time, f"put back: {reason}", shares, shares)]
        yield name, replace(manifest, history=(*manifest.history, *told)).to_json()
