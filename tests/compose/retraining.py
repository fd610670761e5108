"""The retrain job for real: production's feedback and data files in, a version that is better out."""

import json
from collections.abc import Callable
from typing import Any

import httpx
from hardened import check_hardened
from images import docker
from project import EXAMPLES, KEY, OWNER, PASSWORD, PROVIDER_KEY, Project, specs

CORRECTED = 12
"""Answers of production that people correct."""

Step = Callable[[str], Any]


def check_retrain(project: Project, step: Step) -> None:
    """Corrections from outside, a retrain in the container, and a candidate that blocks the next retrain."""
    with step(f"{CORRECTED} answers of production, corrected by people"):
        corrections(project)
    with step("docker compose run retrain: a real retrain, in a hardened container") as say:
        say(_promoted(project))
    with step("docker compose run retrain again: waits for a decision") as say:
        say(_waits(project))
    with step("t0dspy traffic review v3=1 --apply: the better version serves") as say:
        project.tool("traffic", "review", "v3=1", "--apply")
        served = {project.call(one).json()["output"]["parsed"]["review"] for one in specs(4, "served")}
        assert served == {f"a careful review of {one}" for one in specs(4, "served")}, served
        say(sorted(served)[0])


def corrections(project: Project) -> None:
    """Call the program, and give each answer's right value as a demonstration."""
    for spec in specs(CORRECTED, "production"):
        inference = project.call(spec).json()["inference_id"]
        value = {"review": f"a careful review of {spec}"}
        body = {"metric_name": "demonstration", "inference_id": inference, "value": value}
        given = httpx.post(f"{project.url}/feedback", json=body, timeout=30, trust_env=False)
        assert given.status_code == 200, given.text


def _promoted(project: Project) -> str:
    project.hand_over()
    code, out, err, container = _run_job(project, "--json", "--stage", "plan")
    assert code == 0, f"retrain: exit {code}\n{out[-3000:]}{err[-6000:]}"
    check_hardened(container)
    _check_job(container)
    told = json.loads(out)[0]
    assert told["outcome"] == "promoted", told["reason"]
    assert (told["incumbent"], told["version"], told["shares"]) == ("v1", "v3", {"v1": 0.9, "v3": 0.1}), told["shares"]
    origin = told["data"]["origin"]
    assert origin["a file of yours"] == sum(EXAMPLES.values()), origin
    assert origin["production, corrected by a person"] >= CORRECTED, origin
    assert told["spent"]["calls"] > 100
    assert told["judgement"]["difference"]["difference"] > 0.3, told["judgement"]
    written = [project.directory / path for path in ("configs/programs/review/v3", ".t0dspy/retrain/review/sets.json")]
    assert [path.stat().st_uid for path in written] == [OWNER] * 2
    return f"{told['reason']}; {told['spent']['calls']} calls"


def _waits(project: Project) -> str:
    code, out, err, _ = _run_job(project)
    assert code == 0, err
    assert "v3 (10% of the traffic) is undecided" in out, out
    return out.splitlines()[0]


def _check_job(container: dict[str, Any]) -> None:
    """The keys of the models and the way to ClickHouse, and not the secret of the program server."""
    environment = "\n".join(container["Config"]["Env"])
    assert PROVIDER_KEY in environment
    assert PASSWORD in environment
    assert KEY not in environment
    assert [name.rpartition("_")[2] for name in container["NetworkSettings"]["Networks"]] == ["data"]
    writable = {mount["Destination"] for mount in container["Mounts"] if mount["RW"]}
    assert writable == {"/configs", "/app/.t0dspy/retrain"}, writable


def _run_job(project: Project, *flags: str) -> tuple[int, str, str, dict[str, Any]]:
    """Run the job to its end; returns its exit code, stdout, stderr and what Docker knows of its container."""
    name = f"{project.name}-retrain"
    command = ("retrain", "--configs", "/configs", "--window", "30d", *flags) if flags else ()
    started = project.compose("run", "-d", "-T", "--name", name, "retrain", *command)
    assert started.returncode == 0, started.stderr[-4000:]
    code = docker("wait", name).stdout.strip()
    logs, container = docker("logs", name), dict(json.loads(docker("inspect", name).stdout)[0])
    docker("rm", "-f", name)
    return int(code), logs.stdout, logs.stderr, container
