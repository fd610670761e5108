"""Traffic, rollback and apply as a user meets them, on the real embedded stack."""

import json
import time
from pathlib import Path

import pytest

import t0dspy
from support.rollout import Project
from support.served import export
from support.tool import Run
from t0dspy.errors import SettingsError
from t0dspy.rollout.rollout import set_traffic


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
        assert "v2 of tales may hold no traffic: the code no longer fits it (the predictor 'extra' is new)" in ran.err
    assert "no: the predictor 'extra' is new" in run("traffic", "tales").out
    assert (project.configs / "programs/tales/rollout.toml").read_text() == before


def test_where_the_code_is_not_here_it_says_so(project: Project, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator's machine may lack the code: a note, and the change is made."""
    manifest = project.configs / "programs/tales/manifest.json"
    manifest.write_text(manifest.read_text().replace("stories:stories", "gone:stories"))
    ran = run("traffic", "tales", "v2=1")
    assert ran.code == 0
    assert "whether the code fits v2 is not known here: no module 'gone'" in ran.err


def test_a_rollback_from_a_canary_says_what_it_did(project: Project, run: Run) -> None:
    """It leads behind the incumbent, by contract; who meant to end the canary only is told how."""
    set_traffic(project.place, "question", {"v2": 1.0}, applying=True)
    set_traffic(project.place, "question", {"v2": 0.9, "v3": 0.1}, applying=True)
    ran = run("rollback", "question")
    assert ran.out.startswith("question  v2 90%  v3 10%  ->  v1 100%\n")
    assert "To keep it and only end v3, run `t0dspy traffic question v2=1 --apply`." in ran.err
    assert run(*["traffic", "question", "v2=1", "--apply"]).code == 0
    assert project.variants() == {"v2"}
    assert "only." not in run("rollback", "question").err


def test_a_stages_only_program_takes_one_version(tmp_path: Path) -> None:
    """Its predictors have no shares."""
    from t0dspy.artifact.exported import ExportedProgram
    from t0dspy.rollout.change import plan_traffic

    for instructions in ("", "NEW"):
        options = {"model": "openai::m", "stages_only": True}
        export(tmp_path / "configs", "stories:stories", name="steps", instructions=instructions, **options)
    program = ExportedProgram.read(tmp_path / "configs", "steps")
    with pytest.raises(SettingsError, match=r"its calls cannot be shared\. Give one version all of them"):
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
