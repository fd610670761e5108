"""The rest of the config: other people's functions and models."""

from pathlib import Path
from typing import Any

import dspy
import pytest

from t0dspy.errors import SettingsError
from t0dspy.exporting.export import export


def exporting(**options: Any) -> Any:
    return export(
        dspy.Predict("question -> answer"), **{"name": "app", "model": "openai::x", "verify": False, **options}
    )


def config(project: Path, text: str, path: str = "configs/tensorzero.toml") -> None:
    (project / path).parent.mkdir(parents=True, exist_ok=True)
    (project / path).write_text(text, encoding="utf-8")


def test_a_function_of_somebody_elses_is_not_overwritten(project: Path) -> None:
    """The gateway would refuse two functions of one name, so the export does, naming the file."""
    config(project, '[functions.app]\ntype = "chat"\n', "configs/deep/er/mine.toml")
    with pytest.raises(SettingsError, match=r"mine\.toml has a function 'app' already. Export under another --name."):
        exporting()
    assert not (project / "configs/programs/app").exists()


def test_a_model_must_be_known(project: Path) -> None:
    """A name without a provider is a model of tensorzero.toml; those that are there are listed."""
    with pytest.raises(SettingsError, match=r"no \[models.mine\] in configs/\*\*/\*.toml \(it defines none\)"):
        exporting(model="mine")
    config(project, "[models.other]\nrouting = []\n")
    with pytest.raises(SettingsError, match=r"\(it defines other\)"):
        exporting(model="mine")
    assert exporting(model="other").version == "v1"


def test_other_programs_are_no_hindrance(project: Path) -> None:
    """Two programs of ours stand side by side, and the server of one is no model of another's."""
    demos = dspy.Predict("question -> answer")
    demos.demos = [{"question": "q", "answer": "a"}]
    export(demos, name="served", model="openai::x", verify=False)
    assert exporting().version == "v1"
    with pytest.raises(SettingsError, match="it defines none"):
        exporting(model="served__program", name="another")


@pytest.mark.parametrize("text", ["functions = 5", "[functions", "models = 5\n", "[[functions]]\na = 1"])
def test_a_broken_neighbour_is_named(project: Path, text: str) -> None:
    """Whoever wrote it finds the file in the message."""
    config(project, text)
    with pytest.raises(SettingsError, match=r"tensorzero\.toml: "):
        exporting(model="mine")
