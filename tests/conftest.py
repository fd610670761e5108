"""What every test can rely on: no provider, no real home, no settings of the machine it runs on."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("RUST_LOG", "off")  # the embedded gateway logs to stdout unless told before its first use
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "true"  # never fetch a price list

from t0dspy.testing import ScriptedUpstream


@pytest.fixture(autouse=True)
def _a_bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No key, no proxy, no gateway of the developer's machine reaches a test."""
    for name in list(os.environ):
        if name.endswith("_API_KEY") or name.startswith(("TENSORZERO_", "T0DSPY_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    """A model provider under the test's control."""
    with ScriptedUpstream() as server:
        yield server


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project directory, which is the working directory too."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
