"""What the benchmarks run: the base of a config with one scripted model, `t0dspy up`, and what its processes use."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from t0dspy.stack.processes.data_dir import Running, find_running

COMMAND = str(Path(sys.executable).parent / "t0dspy")
BASE = """
[gateway.observability]
enabled = true
async_writes = false
[models.m]
routing = ["p"]
[models.m.providers.p]
type = "openai"
model_name = "scripted"
api_base = "{url}"
api_key_location = "none"
"""
GOOD = """
[metrics.good]
type = "boolean"
level = "inference"
optimize = "max"
"""


@contextmanager
def up(configs: Path, data_dir: Path, log: Path | None = None, **env: str) -> Iterator[Running]:
    """`t0dspy up` on free ports; what it logs goes to a file, or is shown."""
    command = [COMMAND, "up", f"--configs={configs}", f"--data-dir={data_dir}"]
    command += [f"--{part}-port=0" for part in ("gateway", "clickhouse", "programs")]
    with log.open("w") if log else nullcontext() as logged:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=logged, text=True, env={**os.environ, **env})
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n", log.read_text() if log else "it says why above"
            running = find_running(data_dir)
            assert running is not None
            yield running
        finally:
            process.terminate()
            process.communicate()


def resident(pid: int) -> float:
    """Megabytes of a process and its children."""
    texts = [Path(f"/proc/{process}/status").read_text() for process in family(pid)]
    return sum(int(text.partition("VmRSS:")[2].split()[0]) for text in texts) / 1024


def processor_seconds(pid: int) -> float:
    """What a process and its children have used."""
    stats = [Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split() for process in family(pid)]
    return sum(int(fields[11]) + int(fields[12]) for fields in stats) / os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """A process and its children."""
    return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]
