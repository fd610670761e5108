"""`make test-compose`: the compose file for real, with the air-gapped override, as a user meets it.

Builds the image, brings the stack up, calls a program from outside, gives feedback, changes traffic under load, breaks
the config, rolls back, counts what is stored, and takes everything down. Prints each step. Without a Docker engine it
says so in one line.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
from images import IMAGE, ROOT, Skip, build, docker

HERE = Path(__file__).parent
TOOL = str(Path(sys.executable).with_name("t0dspy"))
PASSWORD, KEY = "a1b2c3d4e5", "f6a7b8c9d0"
FILES = ("compose.yaml", "compose.airgapped.yaml", "upstream.yaml")
OURS = ("T0DSPY_", "TENSORZERO_", "CLICKHOUSE_", "COMPOSE_", "OPENAI_", "CODE", "SETTINGS", "OWNER_")

PROGRAM = """
import dspy


class Review(dspy.Module):
    def __init__(self):
        super().__init__()
        self.plan = dspy.Predict(dspy.Signature("spec -> plan", "INSTRUCTIONS"))
        self.write = dspy.Predict("plan -> review")

    def forward(self, spec):
        return self.write(plan=self.plan(spec=spec).plan)


program = Review()
"""


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Project:
    """A user's directory: the compose files, .env, configs, a program."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.name = f"t0dspytest{os.getpid()}"
        self.gateway, self.clickhouse = free_port(), free_port()
        self.env = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        self.env |= {"COMPOSE_PROJECT_NAME": self.name, "T0DSPY_IMAGE": IMAGE}
        self.compose_command = _compose()
        for name in FILES[:2]:
            shutil.copy(ROOT / name, directory)
        for name in ("upstream.yaml", "upstream.py"):
            shutil.copy(HERE / name, directory)
        shutil.copytree(ROOT / "configs", directory / "configs", ignore=shutil.ignore_patterns("programs"))
        shutil.copy(HERE / "scripted.toml", directory / "configs")
        (directory / "t0dspy.toml").write_text(f'gateway_url = "{self.url}"\nclickhouse_url = "{self.database}"\n')
        (directory / ".t0dspy/retrain").mkdir(parents=True)
        (directory / "app").mkdir()
        (directory / "app/__init__.py").touch()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.gateway}"

    @property
    def database(self) -> str:
        return f"http://t0dspy:{PASSWORD}@127.0.0.1:{self.clickhouse}/tensorzero"

    def write_env(self) -> None:
        """What a user does with .env.example."""
        text = (ROOT / ".env.example").read_text()
        filled = {"CLICKHOUSE_PASSWORD": PASSWORD, "T0DSPY_PROGRAMS_KEY": KEY, "OPENAI_API_KEY": "unused"}
        for name, value in filled.items():
            text = text.replace(f"{name}=\n", f"{name}={value}\n")
        text += f"OWNER_UID={os.getuid()}\nOWNER_GID={os.getgid()}\n"
        text += f"CODE=app\nSETTINGS=t0dspy.toml\nGATEWAY_PORT={self.gateway}\nCLICKHOUSE_PORT={self.clickhouse}\n"
        (self.directory / ".env").write_text(text)

    def export(self, instructions: str, *flags: str) -> None:
        (self.directory / "app/review.py").write_text(PROGRAM.replace("INSTRUCTIONS", instructions))
        form = ("--name", "review", "--signature", "spec -> review", "--model", "scripted", "--adapter", "chat")
        self.tool("export", "app.review:program", *form, *flags)

    def compose(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        files = [flag for name in FILES for flag in ("-f", name)]
        command = [*self.compose_command, *files, *arguments]
        return subprocess.run(command, cwd=self.directory, env=self.env, text=True, capture_output=True, check=False)

    def tool(self, *arguments: str, code: int = 0) -> str:
        """Run t0dspy on this machine; returns what it printed."""
        done = subprocess.run(
            [TOOL, *arguments], cwd=self.directory, env=self.env, text=True, capture_output=True, check=False
        )
        assert done.returncode == code, (
            f"t0dspy {' '.join(arguments)}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        )
        return done.stdout + done.stderr

    def container(self, service: str) -> dict[str, Any]:
        found = docker("ps", "-aq", "-f", f"label=com.docker.compose.project={self.name}",
                       "-f", f"label=com.docker.compose.service={service}").stdout.split()  # fmt: skip
        return dict(json.loads(docker("inspect", found[0]).stdout)[0])

    def rows(self, sql: str) -> list[str]:
        query = {"database": "tensorzero", "query": sql}
        auth = ("t0dspy", PASSWORD)
        answer = httpx.get(f"http://127.0.0.1:{self.clickhouse}/", params=query, auth=auth, trust_env=False)
        assert answer.status_code == 200, answer.text
        return answer.text.splitlines()

    def call(self, spec: str) -> httpx.Response:
        block = {"type": "template", "name": "user", "arguments": {"spec": spec}}
        body = {"function_name": "review", "input": {"messages": [{"role": "user", "content": [block]}]}}
        return httpx.post(f"{self.url}/inference", json=body, timeout=60, trust_env=False)


def _compose() -> list[str]:
    if docker("compose", "version").returncode == 0:
        return ["docker", "compose"]
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    raise Skip("there is no docker compose")


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
    with step("a program called from outside, and feedback"):
        ran = json.loads(project.tool("run", "review", "--input", '{"spec": "a spec"}'))
        assert ran["output"] == {"review": "the review"}, ran
        project.tool("feedback", ran["inference_id"], "good", "true")
        correction = '{"review": "a better one"}'
        project.tool("feedback", ran["inference_id"], "demonstration", correction)
    ids = {ran["inference_id"], *traffic_under_load(project)}
    killed(project)
    broken_config(project)
    with step("nothing lost") as say:
        stored = set(project.rows("SELECT toString(id) FROM JsonInference WHERE function_name = 'review'"))
        assert ids <= stored, f"{len(ids - stored)} of {len(ids)} answered inferences are not stored"
        assert project.rows("SELECT count() FROM BooleanMetricFeedback") == ["1"]
        assert project.rows("SELECT count() FROM DemonstrationFeedback") == ["1"]
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
        job = ("run", "--rm", "--no-deps", "-T", "--entrypoint", "touch", "retrain")
        wrote = project.compose(*job, "/configs/written", "/app/.t0dspy/retrain/written")
        assert wrote.returncode == 0, wrote.stderr
        written = [project.directory / path for path in ("configs/written", ".t0dspy/retrain/written")]
        assert [path.stat().st_uid for path in written] == [os.getuid()] * 2
        written[0].unlink()
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
        assert "`rollback review` was cut off before the gateway was known to serve it; finishing it now." in said, said
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
