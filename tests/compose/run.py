"""`make test-compose`: the compose file for real, with the air-gapped override, as a user meets it.

Builds the image, brings the stack up, calls a program from outside, gives feedback, changes traffic under load, breaks
the config, rolls back, counts what is stored, and takes everything down. Prints each step. Without a Docker engine it
says so in one line.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
from hardened import check_hardened, check_networks, check_secrets
from images import ROOT, Skip, build, docker
from project import TOOL, Project
from retraining import CORRECTED, check_retrain


class Load:
    """Callers who try again, as clients do: what they were answered, and what no second try could mend."""

    def __init__(self, project: Project) -> None:
        self._project, self._stop = project, threading.Event()
        self.answers: list[tuple[float, str, str]] = []
        """When the call that was answered began, the variant, the inference."""
        self.retried, self.failed = 0, 0
        self._threads = [threading.Thread(target=self._run) for _ in range(3)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            if not self._called():
                self.failed += 1

    def _called(self) -> bool:
        give_up = time.monotonic() + 60
        while time.monotonic() < give_up:
            began = time.monotonic()
            with suppress(httpx.HTTPError):
                answer = self._project.call("a spec")
                if answer.status_code == 200:
                    said = answer.json()
                    self.answers.append((began, said["variant_name"], said["inference_id"]))
                    return True
            self.retried += 1
            time.sleep(0.2)
        return False


@contextmanager
def step(what: str) -> Iterator[Callable[[str], None]]:
    """Print what is done and how long it took."""
    began, said = time.monotonic(), list[str]()
    yield said.append
    print(f"{time.monotonic() - began:6.1f} s  {what}" + "".join(f"; {one}" for one in said), flush=True)


def main() -> int:
    if docker("info").returncode != 0:
        raise Skip("no Docker engine answers")
    with step("image built"):
        build()
    with tempfile.TemporaryDirectory() as scratch:
        project = Project(Path(scratch))
        try:
            check(project)
        except BaseException:
            print(project.compose("logs", "--tail=40").stdout[-8000:], file=sys.stderr)
            raise
        finally:
            with step("taken down"):
                project.compose("down", "--volumes", "--remove-orphans", "--timeout", "5")
    print("test-compose: all is well")
    return 0


def check(project: Project) -> None:
    without_passwords(project)
    project.write_env()
    with step("two versions exported, proven equal on the wire"):
        project.export("Plan.")
        project.export("Plan with care.", "--traffic", "0.5", "--no-verify")
    with step("stack up: ClickHouse, gateway, program server, each healthy"):
        up = project.compose("up", "-d")
        assert up.returncode == 0, up.stderr[-4000:]
        healthy(project)
    is_closed(project)
    with step("hardened: root file system, capabilities, limits, networks, secrets"):
        for service in ("clickhouse", "gateway", "programs"):
            check_hardened(project.container(service))
        check_networks(project)
        check_secrets(project)
    with step("a program called from outside, and feedback"):
        ran = json.loads(project.tool("run", "review", "--input", '{"spec": "a spec"}'))
        assert ran["output"] == {"review": "the review"}, ran
        project.tool("feedback", ran["inference_id"], "good", "true")
        correction = '{"review": "a better one"}'
        project.tool("feedback", ran["inference_id"], "demonstration", correction)
    ids = {ran["inference_id"], *traffic_under_load(project)}
    killed(project)
    broken_config(project)
    check_retrain(project, step)
    with step("nothing lost") as say:
        stored = set(project.rows("SELECT toString(id) FROM JsonInference WHERE function_name = 'review'"))
        assert ids <= stored, f"{len(ids - stored)} of {len(ids)} answered inferences are not stored"
        given = project.rows("SELECT count() FROM BooleanMetricFeedback")
        assert given == ["1"], given
        given = project.rows("SELECT count() FROM DemonstrationFeedback")
        assert given == [str(1 + CORRECTED)], given
        say(f"{len(ids)} answered inferences stored, and the feedback")


def without_passwords(project: Project) -> None:
    """A copy of .env.example that nobody filled in starts nothing."""
    with step("refused without a password"):
        shutil.copy(ROOT / ".env.example", project.directory / ".env")
        refused = project.compose("config")
        assert refused.returncode != 0, refused.stdout
        assert "in .env" in refused.stderr, refused.stderr


def healthy(project: Project) -> None:
    give_up = time.monotonic() + 120
    while time.monotonic() < give_up:
        states = [project.container(one)["State"]["Health"]["Status"] for one in ("clickhouse", "gateway", "programs")]
        if states == ["healthy"] * 3:
            return
        time.sleep(0.5)
    raise AssertionError(f"not healthy: {states}")


def is_closed(project: Project) -> None:
    """Ports on 127.0.0.1 alone, none of the program server's; no root; configs that cannot be written; no secrets."""
    with step("closed: ports, users, mounts, ClickHouse's password"):
        for service in ("clickhouse", "gateway", "programs"):
            one = project.container(service)
            hosts = {
                binding["HostIp"] for ports in (one["HostConfig"]["PortBindings"] or {}).values() for binding in ports
            }
            assert hosts <= {"127.0.0.1"}, (service, hosts)
            assert one["Config"]["User"] not in ("", "0", "root"), service
            assert all(not mount["RW"] for mount in one["Mounts"] if "config" in mount["Destination"]), service
            assert one["HostConfig"]["LogConfig"]["Config"]["max-size"] == "10m"
            assert one["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
        assert not project.container("programs")["HostConfig"]["PortBindings"]
        anonymous = httpx.get(f"http://127.0.0.1:{project.clickhouse}/?query=SELECT+1", trust_env=False)
        assert anonymous.status_code in (401, 403, 516), anonymous.status_code


def traffic_under_load(project: Project) -> set[str]:
    """Changes through Docker while callers call: nobody is lost, and nobody answered by what has no traffic."""
    with Load(project) as load:
        time.sleep(2)
        for command, only in (
            (("traffic", "review", "v2=1", "--apply"), "v2"),
            (("rollback", "review"), "v1"),
            (("traffic", "review", "v1=0.5", "v2=0.5", "--apply"), None),
            (("rollback", "review", "--to", "v2", "--reason", "v2 it is"), "v2"),
        ):
            with step(f"t0dspy {' '.join(command)}") as say:
                say(project.tool(*command).splitlines()[-1].partition(", config_hash")[0])
            served = time.monotonic()
            time.sleep(2)
            wrong = [variant for began, variant, _ in load.answers if began > served and only and variant != only]
            assert not wrong, Counter(wrong)
    variants = Counter(variant for _, variant, _ in load.answers)
    print(f"          under load: {dict(variants)} answered, {load.retried} tries repeated, {load.failed} failed")
    assert load.failed == 0
    assert set(variants) == {"v1", "v2"}
    shown = json.loads(project.tool("traffic", "review", "--json"))
    assert shown["serving"] is True, shown
    assert [change["undo"] for change in shown["history"]] == [False, False, False, True, False, True], shown["history"]
    return {inference for _, _, inference in load.answers}


def killed(project: Project) -> None:
    """A rollback that dies while the container restarts is finished by the next command."""
    with step("kill -9 of a rollback in the middle, finished by `t0dspy traffic`") as say:
        command = [TOOL, "rollback", "review", "--to", "v1"]
        rollback = subprocess.Popen(command, cwd=project.directory, env=project.env)
        rollout = project.directory / "configs/programs/review/rollout.toml"
        while "{v1 = 1.0}" not in rollout.read_text():
            assert rollback.poll() is None
            time.sleep(0.02)
        rollback.kill()
        rollback.wait()
        said = project.tool("traffic", "review")
        assert "`rollback review` was interrupted before the gateway confirmed it; finishing it now." in said, said
        assert "review: serving what is written" in said, said
        variants = {project.call("a spec").json()["variant_name"] for _ in range(5)}
        assert variants == {"v1"}, variants
        say(said.splitlines()[-1].strip())


def broken_config(project: Project) -> None:
    """A config that the gateway does not take is put back, and the old one served."""
    good = (project.directory / "configs/tensorzero.toml").read_text()
    with step("a broken tensorzero.toml applied, and put back by itself") as say:
        (project.directory / "configs/tensorzero.toml").write_text(f'{good}\n[models.broken]\nrouting = ["nobody"]\n')
        said = project.tool("apply", code=1)
        assert "The old files are back, and the gateway serves them." in said, said
        assert (project.directory / "configs/tensorzero.toml").read_text() == good
        assert (project.directory / "configs/tensorzero.toml.refused").exists()
        assert project.call("after it").status_code == 200
        say(said.strip().splitlines()[-3][:160])


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Skip as why:
        print(f"test-compose: skipped, {why}")
