"""Files of ours with any JSON at any place: one message that names the file and the key, never a bug."""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from t0dspy.artifact.manifest import Change, FunctionEntry, Manifest, PredictorEntry, VersionEntry, parse_manifest
from t0dspy.errors import T0dspyError
from t0dspy.flywheel.retrain.run_directory import Beginning, Home, Last, PullSummary, read_shaped
from t0dspy.model import PromptForm
from t0dspy.rollout.on_start import after_start, before_start
from t0dspy.rollout.pending import Journal, Pending
from t0dspy.stack.processes.data_dir import Load, Running, hold

ANYTHING: list[Any] = [None, True, 0, -1, 1.5, 10**30, "text", "", [], [0], {}, {"a": 0}, [[{}]], {"a": {"b": []}}]
CHANGE = Change("2026-01-01T00:00:00Z", "why", {"v1": 1.0}, {"v1": 1.0})
ENTRY = VersionEntry(
    *("hash", None, None, "2026-01-01T00:00:00Z", "3.4.1", "0.1", PromptForm(), "gateway"),
    predictors={"self": PredictorEntry("shop", "m", {}, 0)},
    scores={"any": ["thing"]},
)
MANIFEST = Manifest(
    *("shop", None, {"stage": 1.0}),
    functions={"shop": FunctionEntry(None, "chat", "in.json", "out.json", "print")},
    versions={"v1": ENTRY},
    history=(CHANGE,),
)


def mutants(value: Any) -> Iterator[Any]:
    """`value` with anything in the place of each of its parts, one at a time, and without each of its keys."""
    yield from ANYTHING
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in items:
        if isinstance(value, dict):
            yield {name: one for name, one in value.items() if name != key}
        for other in mutants(part):
            copy: Any = dict(value) if isinstance(value, dict) else list(value)
            copy[key] = other
            yield copy


def clean(value: Any) -> Any:
    return json.loads(json.dumps(value))


def check(read: Callable[[], Any], path: Path, raw: Any) -> int:
    """How many of the wrong files are refused; each refusal is one of ours, and names the file."""
    refused = 0
    for mutant in mutants(clean(raw)):
        path.write_text(json.dumps(mutant))
        message = _refusal(read)
        assert str(path) in message or not message
        refused += bool(message)
    return refused


def _refusal(read: Callable[[], Any]) -> str:
    try:
        read()
    except T0dspyError as error:
        return str(error)
    return ""


def test_a_manifest(tmp_path: Path) -> None:
    """What is accepted can be used; everything else is refused with the key in the message."""
    path = tmp_path / "shop" / "manifest.json"
    path.parent.mkdir()

    def read() -> None:
        manifest = parse_manifest(path.read_text(), str(path))
        assert all(sum(change.after.values()) < 10**31 for change in manifest.history)
        assert manifest.newest is None or manifest.versions[manifest.newest].predictors is not None

    assert check(read, path, json.loads(MANIFEST.to_json())) > 300
    path.write_text(MANIFEST.to_json().replace('"v1": 1.0', '"v1": "all"', 1))
    with pytest.raises(T0dspyError, match=r"history\[0\]\.before\.v1 is a string, not a number"):
        read()
    path.write_text(MANIFEST.to_json())
    assert parse_manifest(path.read_text(), str(path)) == MANIFEST


def test_files_of_a_retrain(tmp_path: Path) -> None:
    """`last.json`, `run.json` and `pull.json`."""
    whole = {
        Last: Last("r", "s"),
        Beginning: Beginning("u", "v1", "c", "a"),
        PullSummary: PullSummary("a", "b", {"d": 1}),
    }
    path = tmp_path / "file.json"
    for kind, value in whole.items():
        assert check(lambda kind=kind: read_shaped(path, kind), path, asdict(value)) > 20  # type: ignore[misc]
    home = Home(tmp_path, "shop")
    home.directory.mkdir(parents=True)
    (home.directory / "last.json").write_text('{"run": 1}')
    with pytest.raises(T0dspyError, match=r"last\.json: cannot be read \(seen is missing\)\. Remove it"):
        home.last()


def test_a_pending_change(tmp_path: Path) -> None:
    """Commands name the file and what to do; a start goes on without it."""
    configs = tmp_path / "configs"
    configs.mkdir()
    journal = Journal(configs)
    path = tmp_path / ".t0dspy" / "rollout" / "configs.pending.json"
    with journal.hold():
        journal.begin(Pending("apply", {"a.toml": ""}, putting_back=True))
    assert check(journal.read_pending, path, asdict(Pending("apply", {"a.toml": "text"}))) > 20
    said: list[str] = []
    path.write_text('{"what": "apply", "old": [1], "putting_back": true}')
    before_start(configs, said.append)
    assert len(said) == 1
    assert f"{path}: not what t0dspy wrote: old is a list, not an object." in said[0]
    assert "remove it." in said[0]
    after_start(configs, "http://127.0.0.1:9", said.append)


def test_the_run_file_of_a_stack_is_only_a_hint(tmp_path: Path) -> None:
    """Whatever is in `stack.json`, the data directory can be held, which is what a start does first."""
    data = tmp_path / "data"
    with hold(data, ("gateway",)):
        pass
    running = Running(1, "configs", {"gateway": 2**40}, {"gateway": "url"}, Load(1.0, None, "why"))
    for mutant in mutants(clean(asdict(running))):
        (data / "stack.json").write_text(json.dumps(mutant))
        with hold(data, ("gateway",)):
            pass
