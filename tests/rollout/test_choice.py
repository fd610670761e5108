"""Which gateway is asked, and what the settings may say about it."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from t0dspy.errors import SettingsError
from t0dspy.rollout.compose import DIRECTORY, PROJECT, choose_containers
from t0dspy.rollout.pending import same_config
from t0dspy.settings import ApplySettings, load_settings


def container(name: str, project: str, directory: Path) -> SimpleNamespace:
    """What Docker says about a container of compose's."""
    return SimpleNamespace(name=name, labels={PROJECT: project, DIRECTORY: str(directory)})


def test_the_container_of_this_directory_is_meant(tmp_path: Path) -> None:
    """A machine may run several projects; settings name one where the directory does not."""
    here, there = container("a", "shop", tmp_path), container("b", "blog", tmp_path / "blog")
    assert choose_containers([here, there], tmp_path, None) == [here]
    assert choose_containers([here, there], tmp_path, "blog") == [there]
    assert choose_containers([here, there], tmp_path, "other") == []
    assert choose_containers([there], tmp_path, None) == [there]
    assert choose_containers([here, there], tmp_path / "elsewhere", None) == [here, there]


def settings(directory: Path, text: str) -> ApplySettings:
    (directory / "t0dspy.toml").write_text(f"[apply]\n{text}")
    return load_settings(directory, {}).apply


def test_settings_are_read(tmp_path: Path) -> None:
    """All of them, and their defaults."""
    assert settings(tmp_path, "") == ApplySettings()
    text = "command = ['kubectl', 'rollout']\ndata_dir = 'd'\nservice = 's'\nproject = 'p'\ntimeout = 5"
    assert settings(tmp_path, text) == ApplySettings(("kubectl", "rollout"), "d", "s", "p", 5.0)


MISTAKES = [
    (
        "command = 'restart it'",
        "command: is 'restart it'; write a list of strings, such as ['kubectl', 'rollout', ...].",
    ),
    ("command = []", "command: is []; write a list of strings"),
    ("command = ['kill', 9]", "command: is 9; write a string in quotes."),
    ("timeout = 0", "timeout: is 0; write a number of seconds above 0."),
    ("servise = 'gateway'", "unknown key 'servise'; did you mean 'service'?"),
]


@pytest.mark.parametrize(("text", "reason"), MISTAKES)
def test_mistakes_are_named(tmp_path: Path, text: str, reason: str) -> None:
    """With the file, the key and the value."""
    with pytest.raises(SettingsError) as caught:
        settings(tmp_path, text)
    assert reason in str(caught.value)
    assert "[tool.t0dspy.apply]" in str(caught.value)


def test_what_the_gateway_does_not_read_is_no_change() -> None:
    """Manifests and comments; everything else is one."""
    files = {"a.toml": "x = 1\n", "programs/p/manifest.json": "{}", "programs/p/v1/user.minijinja": "hi"}
    assert same_config(files, {**files, "a.toml": "# why\nx = 1", "programs/p/manifest.json": '{"history": []}'})
    for changed in ({"a.toml": "x = 2"}, {"a.toml": "broken"}, {"programs/p/v1/user.minijinja": "hi "}, {"b.toml": ""}):
        assert not same_config(files, {**files, **changed})
    assert not same_config(files, {"a.toml": "x = 1\n"})
