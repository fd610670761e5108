"""An export that is killed at any moment leaves the tree as it was or as it should be."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import dspy
import pytest

import t0dspy
from support.killing import kill_at_every_step
from t0dspy.artifact import bundle, swap
from t0dspy.artifact.exported import ExportedProgram
from t0dspy.exporting.options import Export
from t0dspy.gateway import embedded_gateway

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # the child only writes files and dies

Tree = dict[str, str]


class Shop(dspy.Module):
    """Two predictors, so that there are functions beside the program's own."""

    def __init__(self, plan: str = "order -> plan", instructions: str = "Plan.") -> None:
        super().__init__()
        self.plan = dspy.Predict(dspy.Signature(plan, instructions))
        self.reply = dspy.ChainOfThought("plan -> reply")

    def forward(self, order: str) -> dspy.Prediction:
        prediction: dspy.Prediction = self.reply(plan=self.plan(order=order).plan)
        return prediction


def _export(configs: Path, program: dspy.Module, **more: bool) -> Export:
    options = {"name": "shop", "model": "openai::gpt-4o-mini", "signature": "order -> reply", "verify": False}
    return t0dspy.export(program, configs, **options, **more)


def _nothing(configs: Path) -> None:
    configs.mkdir(parents=True)


def _v1(configs: Path) -> None:
    _export(configs, Shop())


def _to_v1(configs: Path) -> None:
    _export(configs, Shop())


def _to_v2(configs: Path) -> None:
    _export(configs, Shop(instructions="Plan with care."))


def _to_new_function(configs: Path) -> None:
    """A predictor's changed contract gives it a new function, so program.toml and rollout.toml change too."""
    _export(configs, Shop(plan="order, stock -> plan"))


SCENARIOS = {
    "first": (_nothing, _to_v1),
    "second": (_v1, _to_v2),
    "new function": (_v1, _to_new_function),
}


@pytest.fixture(params=SCENARIOS, ids=lambda name: name.replace(" ", "-"))
def scenario(request: pytest.FixtureRequest) -> SimpleNamespace:
    """How the tree came about before, and the export that is killed."""
    before, export = SCENARIOS[request.param]
    return SimpleNamespace(before=before, export=export)


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorZero loads no config whose keys are unset."""
    monkeypatch.setenv("OPENAI_API_KEY", "unused")
    monkeypatch.setenv("T0DSPY_PROGRAMS_KEY", "unused")


@pytest.fixture(autouse=True)
def _no_waiting_for_disks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill loses nothing that was written, durable or not; only a power cut does."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.fixture
def project() -> Iterator[Path]:
    """An empty project directory, in memory where there is a file system for that: it is written some 10,000 times."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as place:
        yield Path(place, "project")


def _tree(configs: Path) -> Tree:
    """Every file below `configs`, the times in manifests aside."""
    files = {path.relative_to(configs).as_posix(): path for path in configs.rglob("*") if path.is_file()}
    return {name: re.sub(r'"(created|time)": "[^"]*"', "", path.read_text()) for name, path in files.items()}


def _without_locks(tree: Tree) -> Tree:
    return {name: text for name, text in tree.items() if not name.endswith(".lock")}


def _loads(configs: Path) -> bool:
    with embedded_gateway(configs):
        return True


def _prepare(project: Path, before: Callable[[Path], None], configs: Path) -> tuple[Tree, Path]:
    before(configs)
    saved = project / "saved"
    shutil.copytree(configs, saved)
    return _tree(configs), saved


def _put_back(configs: Path, saved: Path) -> None:
    shutil.rmtree(configs)
    shutil.copytree(saved, configs)


def _leftovers(project: Path) -> list[str]:
    return sorted(path.name for path in project.rglob(".*") if path.name.startswith((".t0dspy-", ".shop")))


def test_a_kill_leaves_the_old_tree_or_the_new(project: Path, scenario: SimpleNamespace) -> None:
    """Killed before any step, the tree is byte for byte old or new, and the next export completes and tidies up."""
    configs = project / "configs"
    old, saved = _prepare(project, scenario.before, configs)
    finished = _finished(project, saved, scenario)
    new = _tree(finished)
    seen = []
    for number in kill_at_every_step(lambda: scenario.export(configs)):
        tree = _without_locks(_tree(configs))
        assert tree in (old, new), f"killed at step {number}"
        seen.append(tree == new)
        _export_again(project, scenario, new)
        _put_back(configs, saved)
    assert len(seen) > 20
    assert seen == sorted(seen), "once it is new, it stays new"
    assert {True, False} == set(seen)
    assert _loads(finished)
    assert not old or _loads(saved)


def test_where_trees_cannot_change_places_the_config_always_loads(
    project: Path, scenario: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where configs are a mount of their own, the gateway loads what any kill leaves, and t0dspy reads old or new."""
    monkeypatch.setattr(swap, "_try_swap", lambda directory, files: False)
    configs = project / "configs"
    old, saved = _prepare(project, scenario.before, configs)
    new = _tree(_finished(project, saved, scenario))
    states: list[Path] = []
    known: list[Tree] = []
    for number in kill_at_every_step(lambda: scenario.export(configs)):
        visible = {name: text for name, text in _tree(configs).items() if not name.endswith((".staged", ".opened"))}
        if any(name.endswith(".toml") for name in visible) and visible not in known:
            known.append(visible)
            states.append(project.parent / f"state-{number}")
            shutil.copytree(configs, states[-1])
        assert _as_t0dspy_reads_it(configs) in (old, new), f"killed at step {number}"
        _export_again(project, scenario, new)
        _put_back(configs, saved)
    assert len(known) >= 4
    assert all(_loads(state) for state in states)


def _finished(project: Path, saved: Path, scenario: SimpleNamespace) -> Path:
    finished = project / "finished"
    shutil.copytree(saved, finished)
    scenario.export(finished)
    return finished


def _export_again(project: Path, scenario: SimpleNamespace, new: Tree) -> None:
    scenario.export(project / "configs")
    assert _tree(project / "configs") == new
    assert [path.name for path in project.rglob(".*") if path.name.startswith((".t0dspy-", ".shop"))] == []


def _as_t0dspy_reads_it(configs: Path) -> Tree:
    read = bundle.read_tree(configs / "programs/shop")
    return {f"programs/shop/{path}": re.sub(r'"(created|time)": "[^"]*"', "", text) for path, text in read.items()}


def test_a_decided_write_is_what_t0dspy_reads(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version whose write was decided and cut off is there for every reader, and a dry run leaves it alone."""
    monkeypatch.setattr(swap, "_try_swap", lambda directory, files: False)
    configs = project / "configs"
    _v1(configs)
    for _ in kill_at_every_step(lambda: _to_v2(configs)):
        if (configs / "programs/.t0dspy-shop-decided").exists():
            break
    before = _tree(configs)
    shop = ExportedProgram.read(configs, "shop")
    assert list(shop.manifest.versions) == ["v1", "v2"]
    assert "v2/variant.toml" in shop.files
    assert _export(configs, Shop(instructions="Plan with care."), dry_run=True).unchanged
    assert _tree(configs) == before


_ON_A_MOUNT = """
set -e
mkdir -p "$1/configs" "$1/elsewhere"
{mount}
"{python}" - "$1/configs" <<'PROGRAM'
import sys, pathlib
sys.path.insert(0, {tests!r})
import test_killed as here
configs = pathlib.Path(sys.argv[1])
here._to_v1(configs), here._to_v2(configs), here._to_new_function(configs)
print(*sorted(path.name for path in configs.rglob("*") if path.name.startswith((".", "v"))))
print(*sorted(path.name for path in configs.parent.iterdir()))
PROGRAM
"""


@pytest.mark.parametrize("mount", ['mount -t tmpfs tmpfs "$1/configs"', 'mount --bind "$1/elsewhere" "$1/configs"'])
def test_configs_may_be_a_mount_of_their_own(project: Path, mount: str) -> None:
    """Configs on another device, or on the same one through another mount, are written, with nothing left over."""
    project.mkdir()
    may = (
        subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False) if shutil.which("unshare") else None
    )
    if may is None or may.returncode:
        pytest.skip("mounting is not permitted here")
    script = _ON_A_MOUNT.format(mount=mount, python=sys.executable, tests=str(Path(__file__).parent))
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, "sh", str(project)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[0] == "v1 v2 v3 variant.toml variant.toml variant.toml"
    assert done.stdout.split("\n")[1] == "configs elsewhere"
