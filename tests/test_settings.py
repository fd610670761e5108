"""Settings: where each value comes from, and mistakes with a suggestion."""

from pathlib import Path

import pytest

from t0dspy.errors import SettingsError
from t0dspy.settings import load_settings


def settings_file(project: Path, text: str, name: str = "t0dspy.toml") -> Path:
    path = project / name
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults_without_a_file(project: Path) -> None:
    """A project without settings has the documented ones."""
    found = load_settings(environment={})
    assert (found.configs.value, found.configs.origin) == ("configs", "default")
    assert found.gateway_url.value == "http://localhost:3000"
    assert found.file is None
    assert found.programs == {}


def test_a_flag_beats_the_environment_beats_the_file(project: Path) -> None:
    """And each value knows where it came from."""
    settings_file(project, 'configs = "file"\ngateway_url = "http://file"\nclickhouse_url = "http://file"\n')
    environment = {"TENSORZERO_GATEWAY_URL": "http://environment", "TENSORZERO_CLICKHOUSE_URL": "http://environment"}
    found = load_settings(environment=environment, clickhouse_url="http://flag")
    assert (found.configs.value, found.configs.origin) == ("file", "t0dspy.toml")
    assert (found.gateway_url.value, found.gateway_url.origin) == (
        "http://environment",
        "environment TENSORZERO_GATEWAY_URL",
    )
    assert (found.clickhouse_url.value, found.clickhouse_url.origin) == ("http://flag", "flag")


def test_an_empty_environment_variable_says_nothing(project: Path) -> None:
    """As shells leave them."""
    assert load_settings(environment={"TENSORZERO_GATEWAY_URL": ""}).gateway_url.origin == "default"


def test_pyproject_holds_them_too(project: Path) -> None:
    """[tool.t0dspy] in pyproject.toml; a t0dspy.toml beside it comes first."""
    settings_file(
        project, '[tool.t0dspy]\nconfigs = "a"\n[tool.t0dspy.programs.x]\nprogram = "m:p"\n', "pyproject.toml"
    )
    assert load_settings().configs.value == "a"
    assert load_settings().programs["x"].program == "m:p"
    settings_file(project, 'configs = "b"\n')
    assert load_settings().configs.value == "b"


def test_a_programs_settings(project: Path) -> None:
    """Every key of a program arrives as it was written."""
    settings_file(
        project,
        '[programs.app]\nprogram = "m:p"\nstate = "s.json"\nsignature = "a -> b"\n'
        'model = "openai::x"\nadapter = "json"\n'
        'demos = "system"\nstages_only = true\nstage_timeout = 5\nrun_timeout = 10.5\n',
    )
    found = load_settings().programs["app"]
    assert (found.state, found.signature, found.model) == ("s.json", "a -> b", "openai::x")
    assert (found.adapter, found.demos, found.stages_only) == ("json", "system", True)
    assert (found.stage_timeout, found.run_timeout) == (5.0, 10.5)


PROGRAM = '[programs.app]\nprogram = "m:p"\n'

MISTAKES = [
    ("configs = [", "cannot be read as TOML"),
    ('config = "x"', "unknown key 'config'; did you mean 'configs'?"),
    ('zzz = "x"', "unknown key 'zzz'; there are configs, gateway_url, clickhouse_url, programs"),
    ("configs = 5", "configs: is 5; write a string in quotes."),
    ('gateway_url = ""', "gateway_url: is ''; write a string in quotes."),
    ("programs = 5", "[tool.t0dspy.programs]: is 5; write a table."),
    ("[programs]\napp = 5", "[tool.t0dspy.programs.app]: is 5; write a table."),
    ("[programs.app]\n", "lacks `program`, the import path"),
    (PROGRAM + 'modell = "x"', "unknown key 'modell'; did you mean 'model'?"),
    (PROGRAM + 'adapter = "yaml"', "adapter: is 'yaml'; write one of chat, json, xml."),
    (PROGRAM + "adapter = []", "adapter: is []; write one of chat, json, xml."),
    (PROGRAM + "keep = 'see'", "keep: is 'see'; write a list of strings, such as ['see', 'chat']."),
    (PROGRAM + "models = 'x'", "models: is 'x'; write a table."),
    ("[models]\n'openai/local' = 5", "[tool.t0dspy.models], openai/local: is 5; write a string in quotes."),
    (PROGRAM + 'demos = "none"', "demos: is 'none'; write one of turns, system."),
    (PROGRAM + 'stages_only = "yes"', "stages_only: is 'yes'; write true or false."),
    (PROGRAM + "stage_timeout = 0", "stage_timeout: is 0; write a number of seconds above 0."),
    (PROGRAM + "run_timeout = true", "run_timeout: is True; write a number of seconds above 0."),
    (PROGRAM + "run_timeout = nan", "run_timeout: is nan; write a number of seconds above 0."),
    (PROGRAM + "run_timeout = inf", "run_timeout: is inf; write a number of seconds above 0."),
    (PROGRAM + "state = 1", "state: is 1; write a string in quotes."),
]


@pytest.mark.parametrize(("text", "reason"), MISTAKES)
def test_mistakes_are_named_with_the_file(project: Path, text: str, reason: str) -> None:
    """Unknown keys with what was meant, wrong kinds with what to write."""
    settings_file(project, text)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert str(caught.value).startswith("t0dspy.toml")
    assert reason in str(caught.value)


@pytest.mark.parametrize("text", ["tool = 5", "[tool]\nt0dspy = 5", "[[tool]]\na = 1", "tool = ["])
def test_a_broken_pyproject_is_said(project: Path, text: str) -> None:
    """Not a stack trace."""
    settings_file(project, text, "pyproject.toml")
    with pytest.raises(SettingsError, match=r"pyproject\.toml"):
        load_settings()


def test_bytes_that_are_no_text(project: Path) -> None:
    """A file that is not UTF-8 is named."""
    (project / "t0dspy.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match=r"t0dspy\.toml: cannot be read as TOML"):
        load_settings()
