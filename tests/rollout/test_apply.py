"""Apply makes the gateway serve what is written, or puts the old files back."""

import json
from pathlib import Path

import pytest

from support.rollout import Project
from support.served import export
from support.tool import Run
from t0dspy.rollout.pending import config_files
from t0dspy.rollout.rollout import set_traffic


def test_an_unchanged_config_returns_at_once(project: Project, run: Run) -> None:
    """Nothing is loaded again, also when only a comment changed."""
    assert run("apply").out.startswith("serving already: the embedded stack")
    with (project.configs / "tensorzero.toml").open("a") as file:
        file.write("# a comment\n")
    assert run("apply").out.startswith("serving already: ")
    assert run("traffic", "question", "v1=1", "--apply").out.splitlines()[1].startswith("serving already: ")


def test_a_refused_config_is_put_back(project: Project, run: Run) -> None:
    """A hand edit that the gateway does not take is set aside, with TensorZero's words; the old config serves."""
    config = project.configs / "tensorzero.toml"
    good = config.read_text()
    config.write_text(good + "\n[models.broken]\nrouting = ['nobody']\n")
    set_traffic(project.place, "question", {"v2": 1.0}, applying=False)
    ran = run("apply")
    assert (ran.code, ran.out) == (1, "")
    assert "models.broken: missing field `providers`" in ran.err
    assert "The old files are back, and the gateway serves them.\nSet aside: tensorzero.toml.refused." in ran.err
    assert config.read_text() == good
    assert "models.broken" in (project.configs / "tensorzero.toml.refused").read_text()
    shown = json.loads(run("traffic", "question", "--json").out)
    assert (shown["incumbent"], shown["serving"]) == ("v1", True)
    assert "put back: " in shown["history"][-1]["reason"]
    assert project.variants() == {"v1"}
    assert run("apply").out.startswith("serving already: ")


def test_a_refused_rollback_is_put_back(project: Project, run: Run) -> None:
    """The version it leads to breaks the gateway: the shares before it come back, and history knows."""
    set_traffic(project.place, "question", {"v2": 1.0}, applying=True)
    (project.configs / "programs/question/v1/system.minijinja").write_text("{% for broken")
    ran = run("rollback", "question")
    assert ran.code == 1
    assert "The old files are back, and the gateway serves them." in ran.err
    shown = json.loads(run("traffic", "question", "--json").out)
    assert (shown["incumbent"], shown["serving"]) == ("v2", True)
    assert shown["history"][-1]["after"] == {"v2": 1.0}
    assert project.variants() == {"v2"}


def test_without_a_gateway_nothing_is_written(project: Project, run: Run) -> None:
    """A rollback that cannot be applied is not half done; --no-apply writes all the same."""
    set_traffic(project.place, "question", {"v2": 1.0}, applying=True)
    (project.directory / "t0dspy.toml").write_text("[apply]\ndata_dir = 'nowhere'\nservice = 'no such service'\n")
    before = (project.configs / "programs/question/rollout.toml").read_text()
    ran = run("rollback", "question")
    assert ran.code == 1
    assert "there is no gateway to apply to: no embedded stack runs in nowhere" in ran.err
    assert (project.configs / "programs/question/rollout.toml").read_text() == before
    assert "written, not serving" in run("rollback", "question", "--no-apply").out


def test_a_stack_on_other_configs_is_not_asked(project: Project, run: Run) -> None:
    """It would load what it has, and nobody would serve what was written."""
    import shutil

    other = project.directory / "other"
    shutil.copytree(project.configs, other, dirs_exist_ok=True)
    ran = run("traffic", "question", "v2=1", "--apply", "--configs", str(other))
    assert ran.code == 1
    assert f"serves {project.configs}, not {other} (--configs)." in ran.err
    assert "{v1 = 1.0}" in (other / "programs/question/rollout.toml").read_text()


def test_a_command_of_the_users_applies(project: Project, run: Run, tmp_path: Path) -> None:
    """From the settings, without a shell; exit code 78 says that the gateway refused the config."""
    pid = project.process.pid
    project.settings(f'command = ["kill", "-HUP", "{pid}"]\n')
    ran = run("traffic", "question", "v2=1", "--apply")
    assert ran.code == 0, ran.err
    assert f"the command `kill -HUP {pid}`" in ran.out
    assert project.variants() == {"v2"}
    project.settings('command = ["sh", "-c", "echo no such model >&2; exit 78"]\n')
    ran = run("rollback", "question")
    assert ran.code == 1
    assert "refused the config: exit code 78: no such model" in ran.err
    assert json.loads(run("traffic", "question", "--json").out)["incumbent"] == "v2"


def test_export_applies_too(project: Project, run: Run) -> None:
    """`--apply` has the new version answer at once."""
    export(project.configs, "stories:question", instructions="NEWER still.")  # v4, through the library
    state = project.directory / "state.json"
    state.write_text(state.read_text().replace("NEWER still.", "NEWEST of all."))
    flags = ("--name", "question", "--state", str(state), "--model", "m", "--adapter", "chat")
    ran = run("export", "stories:question", *flags, "--no-verify", "--traffic", "1", "--apply")
    assert ran.code == 0, ran.err
    assert "serving after " in ran.out.splitlines()[-1]
    assert project.variants("question") == {"v5"}


def test_an_export_of_what_is_written_already_applies(project: Project, run: Run) -> None:
    """If a deploy script runs again after a failed apply, the gateway serves what the script wrote."""
    state = project.directory / "state.json"
    export(project.configs, "stories:question", instructions="NEWER still.")  # makes the state, too
    flags = ("--name", "question", "--state", str(state), "--model", "m", "--adapter", "chat", "--no-verify")
    state.write_text(state.read_text().replace("NEWER still.", "NEWEST of all."))
    assert "written, not serving" in run("export", "stories:question", *flags, "--traffic", "1").out
    assert project.variants("question") == {"v1"}
    ran = run("export", "stories:question", *flags, "--apply")
    assert ran.code == 0, ran.err
    first, last = ran.out.splitlines()
    assert (first, "serving after " in last) == ("question v5 is this program already: nothing to export.", True)
    assert project.variants("question") == {"v5"}
    assert "serving already: " in run("export", "stories:question", *flags, "--apply").out


def test_what_an_editor_keeps_beside_the_config(project: Project, run: Run) -> None:
    """Its lock, a link that leads nowhere, hinders nothing; half a copy is named, since the gateway reads it."""
    (project.configs / ".#tensorzero.toml").symlink_to("ada@host.1234")
    ran = run("traffic", "question", "v2=1", "--apply")
    assert ran.code == 0, ran.err
    assert project.variants() == {"v2"}
    (project.configs / ".tensorzero.toml").write_text("[models.main\n")
    ran = run("rollback", "question")
    assert ran.code == 1
    assert "configs/.tensorzero.toml: cannot be read as TOML: " in ran.err
    assert project.variants() == {"v2"}
    (project.configs / ".tensorzero.toml").unlink()
    assert run("rollback", "question").code == 0


@pytest.mark.parametrize("command", ["apply", "rollback question", "traffic question v1=1 --apply"])
def test_config_that_is_no_toml_costs_nothing(project: Project, run: Run, command: str) -> None:
    """A slip in a file of the user's is said by name, and no version that was written meanwhile is set aside."""
    set_traffic(project.place, "question", {"v2": 1.0}, applying=True)
    export(project.configs, "stories:question", instructions="NEWER still.")
    config = project.configs / "tensorzero.toml"
    config.write_text(config.read_text() + "\n[models.main\n")
    before = config_files(project.configs)
    ran = run(*command.split())
    assert (ran.code, ran.out) == (1, "")
    assert "configs/tensorzero.toml: cannot be read as TOML: " in ran.err
    assert "nothing was changed." in ran.err
    assert config_files(project.configs) == before
    assert not list(project.configs.rglob("*.refused"))
    assert project.variants() == {"v2"}


def test_hand_edits_to_rollout_are_applied(project: Project, run: Run) -> None:
    """The file is the user's; a version that is none there is refused by name."""
    rollout = project.configs / "programs/question/rollout.toml"
    rollout.write_text(rollout.read_text().replace("{v1 = 1.0}", "{v1 = 1, v2 = 3} # mine"))
    assert run("apply").code == 0
    shown = json.loads(run("traffic", "question", "--json").out)
    assert (shown["incumbent"], shown["serving"]) == ("v2", True)
    assert run("rollback", "question").code == 0
    assert "# mine" in rollout.read_text()
    assert project.variants() == {"v1"}
