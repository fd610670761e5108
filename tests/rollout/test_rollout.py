"""Traffic, rollback and apply as a user meets them, on the real embedded stack."""

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import t0dspy
from support.rollout import Project
from support.served import export
from t0dspy.errors import SettingsError
from t0dspy.rollout import live, served
from t0dspy.rollout.pending import config_files
from t0dspy.rollout.rollout import set_traffic

Run = Callable[..., Any]


def test_shares_are_shown_set_and_served(project: Project, run: Run) -> None:
    """The table tells what is written and what is served, before and after an apply."""
    ran = run("traffic", "question", "v1=0.6", "v3=0.4")
    assert ran.code == 0
    assert ran.out.splitlines()[0] == "question  v1 100%  ->  v1 60%  v3 40%"
    assert ran.out.splitlines()[1] == "written, not serving: run `t0dspy apply`."
    assert project.variants() == {"v1"}
    shown = run("traffic", "question").out
    assert shown.startswith("question: written, not serving: run `t0dspy apply`\n")
    rows = {line.lstrip("* ").split()[0]: line.split() for line in shown.splitlines()[2:5]}
    assert rows["v3"][1:3] == ["40%", "-"]
    assert rows["v1"][:4] == ["*", "v1", "60%", "100%"]
    assert run("apply").out.startswith("serving after ")
    assert run("traffic", "question").out.startswith("question: serving what is written\n")
    assert project.variants(count=20) == {"v1", "v3"}


def test_json_tells_the_same(project: Project, run: Run) -> None:
    """For programs: numbers, and null for what is not known."""
    changed = json.loads(run("traffic", "question", "v2=1", "--apply", "--json", "--reason", "it is better").out)
    assert (changed["before"], changed["after"], changed["serving"]) == ({"v1": 1.0}, {"v2": 1.0}, True)
    assert changed["config_hash"] == project.status()["config_hash"]
    shown = json.loads(run("traffic", "question", "--json").out)
    assert (shown["incumbent"], shown["serving"]) == ("v2", True)
    assert [one["version"] for one in shown["versions"]] == ["v3", "v2", "v1"]
    assert shown["versions"][1] | {"age": 0} == {
        "version": "v2",
        "share": 1.0,
        "served": 1.0,
        "loaded": True,
        "scores": None,
        "age": 0,
        "created": shown["versions"][1]["created"],
        "fits": True,
        "fits_why": "",
        "awaits_review": False,
        "code_changed": "",
        "live": {},
    }
    assert shown["history"][-1]["reason"] == "it is better"
    away = json.loads(run("traffic", "question", "--json", "--gateway-url", "http://127.0.0.1:9").out)
    assert (away["serving"], away["versions"][0]["served"], away["config_hash"]) == (None, None, None)
    assert away["versions"][0]["live"] is None
    assert away["why"].startswith("no gateway answers at http://127.0.0.1:9.")


def test_scores_are_shown(project: Project, run: Run) -> None:
    """As `retrain` records them: a metric, and what was scored on which examples, the incumbent's beside it."""
    path = project.configs / "programs/question/manifest.json"
    manifest = json.loads(path.read_text())
    holdout = {"examples": 40, "incumbent": 0.5, "challenger": 0.8125, "interval": None}
    manifest["versions"]["v3"]["scores"] = {
        "metric": "good",
        "validation": {"score": 0.9},
        "holdout": holdout,
        "f1": 0.25,
    }
    path.write_text(json.dumps(manifest))
    assert "  good  validation 0.9  holdout 0.812 (was 0.5)  f1 0.25  -\n" in run("traffic", "question").out


def test_live_ratings_are_shown(project: Project, run: Run) -> None:
    """People's latest word on each production inference, on it or its episode; pinned calls and tests do not count."""
    answers = [project.call("question", {"question": f"why {at}"}).json() for at in range(3)]
    pinned = project.call("question", {"question": "why"}, variant_name="v2").json()
    test = project.call("question", {"question": "why"}, tags={"t0dspy::test": "1"}).json()
    for answer, value in [(answers[0], False), (answers[0], True), (answers[1], False), (pinned, True), (test, True)]:
        body = {"metric_name": "good", "value": value, "inference_id": answer["inference_id"]}
        assert project.post("/feedback", body).status_code == 200
    score = {"metric_name": "score", "value": 0.25, "episode_id": answers[2]["episode_id"]}
    assert project.post("/feedback", score).status_code == 200
    versions = {one["version"]: one["live"] for one in json.loads(run("traffic", "question", "--json").out)["versions"]}
    assert versions == {
        "v1": {"good": {"mean": 0.5, "count": 2}, "score": {"mean": 0.25, "count": 1}},
        "v2": {},
        "v3": {},
    }
    assert "  good 0.5 (2)  score 0.25 (1)\n" in run("traffic", "question").out
    gone = run("traffic", "question", "--clickhouse-url", "http://127.0.0.1:9/tensorzero")
    assert gone.code == 0
    assert "good" not in gone.out


def test_a_clickhouse_that_hangs_is_not_waited_for(project: Project, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look at the traffic waits some seconds for an answer, and then says what is not known."""
    assert served._PATIENCE <= 10
    monkeypatch.setattr(served, "_PATIENCE", 1)
    monkeypatch.setattr(live, "_PATIENCE", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/tensorzero"
        ran = run("traffic", "question", "--gateway-url", project.url, "--clickhouse-url", address)
    assert ran.code == 0
    assert ran.out.startswith("question: written; the served config is not known: ClickHouse at http://127.0.0.1:")
    assert "it did not answer in time" in ran.out


def test_quiet_prints_nothing(project: Project, run: Run) -> None:
    """The exit code says it all."""
    for command in (("traffic", "question", "v2=1"), ("apply",), ("rollback", "question"), ("traffic", "question")):
        assert run(*command, "--quiet") == (0, "", "")
    assert project.variants() == {"v1"}


def test_rollback_steps_back_and_back(project: Project, run: Run) -> None:
    """To the incumbent before, then to the one before that, in seconds; then there is none."""
    for version in ("v2", "v3"):
        set_traffic(project.place, "question", {version: 1.0}, applying=True)
    for version in ("v2", "v1"):
        ran = run("rollback", "question", "--reason", "worse")
        assert ran.code == 0
        assert f"->  {version} 100%\nserving after " in ran.out
        assert float(ran.out.split("serving after ")[1].split()[0]) < 10
        assert project.variants() == {version}
    ran = run("rollback", "question")
    assert (ran.code, ran.out) == (1, "")
    assert "question had no incumbent before v1, so there is nothing to go back to." in ran.err
    assert run("rollback", "question", "--to", "v3").code == 0
    assert project.variants() == {"v3"}
    history = json.loads(run("traffic", "question", "--json").out)["history"]
    assert [change["undo"] for change in history][-3:] == [True, True, True]


def test_rollback_from_python(project: Project) -> None:
    """The same as a function."""
    set_traffic(project.place, "question", {"v2": 1.0}, applying=True)
    changed = t0dspy.rollback("question", configs=project.configs)
    assert (changed.before, changed.after) == ({"v2": 1.0}, {"v1": 1.0})
    assert changed.applied is not None
    assert project.variants() == {"v1"}


def test_a_canary_is_ended_by_traffic(project: Project, run: Run) -> None:
    """Where no incumbent came before, the message has the command that ends the canary."""
    set_traffic(project.place, "question", {"v1": 0.9, "v2": 0.1}, applying=False)
    ran = run("rollback", "question")
    assert ran.code == 1
    assert "`t0dspy traffic question v1=1 --apply` takes the traffic of v2 away." in ran.err


MISTAKES = [
    (("traffic", "nothing"), "no exported program 'nothing' in "),
    (("rollback", "nothing"), "no exported program 'nothing' in "),
    (("traffic", "question", "v9=1"), "question has no version 'v9'; there are v1, v2, v3."),
    (("traffic", "question", "v1=0.5"), "v1=0.5 add up to 0.5, not 1."),
    (("rollback", "question", "--to", "v9"), "question has no version 'v9'; there are v1, v2, v3."),
    (("traffic", "question", "v2=1", "--apply"), "v2 of question has no folder v2/ any more"),
]


@pytest.mark.parametrize(("command", "reason"), MISTAKES)
def test_mistakes_change_nothing(project: Project, run: Run, command: tuple[str, ...], reason: str) -> None:
    """One clear message, exit 1, and the files are as they were."""
    if "no folder" in reason:
        for path in (project.configs / "programs/question/v2").iterdir():
            path.unlink()
    before = {path: path.read_bytes() for path in project.configs.rglob("*") if path.is_file()}
    ran = run(*command)
    assert (ran.code, ran.out) == (1, "")
    assert reason in ran.err
    assert {path: path.read_bytes() for path in project.configs.rglob("*") if path.is_file()} == before
    assert project.variants() == {"v1"}


def test_a_version_that_does_not_fit_holds_no_traffic(
    project: Project, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program server could not run it, so nobody is sent there, by rollback neither."""
    import stories

    changed = stories.Stories()
    changed.extra = stories.dspy.Predict("text -> title")
    monkeypatch.setattr(stories, "stories", changed)
    before = (project.configs / "programs/tales/rollout.toml").read_text()
    for command in (("traffic", "tales", "v2=1"), ("rollback", "tales", "--to", "v2")):
        ran = run(*command)
        assert ran.code == 1
        assert (
            "v2 of tales may hold no traffic: the code no longer fits it (there is a new predictor 'extra')" in ran.err
        )
    assert "no: there is a new predictor 'extra'" in run("traffic", "tales").out
    assert (project.configs / "programs/tales/rollout.toml").read_text() == before


def test_where_the_code_is_not_here_it_says_so(project: Project, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator's machine may lack the code: a note, and the change is made."""
    manifest = project.configs / "programs/tales/manifest.json"
    manifest.write_text(manifest.read_text().replace("stories:stories", "gone:stories"))
    ran = run("traffic", "tales", "v2=1")
    assert ran.code == 0
    assert "whether the code fits v2 is not known here: no module 'gone'" in ran.err


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
    assert "did not take it: exit code 78: no such model" in ran.err
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
    """A deploy script that is run again after an apply that failed has the gateway serve what it wrote."""
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


def test_a_rollback_from_a_canary_says_what_it_did(project: Project, run: Run) -> None:
    """It leads behind the incumbent, by contract; who meant to end the canary only is told how."""
    set_traffic(project.place, "question", {"v2": 1.0}, applying=True)
    set_traffic(project.place, "question", {"v2": 0.9, "v3": 0.1}, applying=True)
    ran = run("rollback", "question")
    assert ran.out.startswith("question  v2 90%  v3 10%  ->  v1 100%\n")
    assert "`t0dspy traffic question v2=1 --apply` keeps it, and ends v3 only." in ran.err
    assert run(*["traffic", "question", "v2=1", "--apply"]).code == 0
    assert project.variants() == {"v2"}
    assert "only." not in run("rollback", "question").err


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


def test_a_stages_only_program_takes_one_version(tmp_path: Path) -> None:
    """Its predictors have no shares."""
    from t0dspy.artifact.exported import ExportedProgram
    from t0dspy.rollout.change import plan_traffic

    for instructions in ("", "NEW"):
        options = {"model": "openai::m", "stages_only": True}
        export(tmp_path / "configs", "stories:stories", name="steps", instructions=instructions, **options)
    program = ExportedProgram.read(tmp_path / "configs", "steps")
    with pytest.raises(SettingsError, match=r"those have no shares\. Give one version the whole"):
        plan_traffic(program, {"v1": 0.5, "v2": 0.5}, "t")
    assert 'candidate_variants = ["v2"]' in plan_traffic(program, {"v2": 1.0}, "t").files["rollout.toml"]


def test_two_at_once_end_in_one_of_both(project: Project) -> None:
    """Changes made at the same time follow each other: what is written last is what serves."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as threads:
        versions = ["v1", "v2", "v3", "v2"]
        list(threads.map(lambda one: set_traffic(project.place, "question", {one: 1.0}, applying=True), versions))
    began = time.monotonic()
    written = (project.configs / "programs/question/rollout.toml").read_text()
    serving = project.variants()
    assert len(serving) == 1
    assert f"{{{serving.pop()} = 1.0}}" in written
    assert time.monotonic() - began < 30
