"""A full disk and few file descriptors, under load."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from chaos.accounts import Load, Promises, Row
from chaos.stacks import ChaosStack, Ground
from support.stack import wait_until

_SIZE = "256m"
_FILES = (128, 256)


def full_disk(ground: Ground, rounds: int) -> Iterator[Row]:
    """The disk of the data directory fills up and is emptied again while clients go on."""
    disk = ground.scratch / "disk"
    disk.mkdir(exist_ok=True)
    mounted = os.geteuid() == 0 and _mount(disk)
    if not mounted:
        print("disk: skipped, because mounting a small tmpfs needs root")
        return
    promises, red, green = Promises(), 0, 0
    try:
        with ground.stack(data=disk / "data") as stack:
            stack.start()
            for _ in range(rounds):
                with Load(stack.url, promises, clients=8):
                    before = len(promises.inferences)
                    wait_until(lambda before=before: len(promises.inferences) > before + 20, 60)
                    _fill(disk / "filling")
                    red += _turns(stack, 503)
                    time.sleep(2)
                    (disk / "filling").unlink()
                    green += _turns(stack, 200)
                    before = len(promises.inferences)
                    wait_until(lambda before=before: len(promises.inferences) > before + 20, 60)
            yield Row("full disk", "times that /health was not red", rounds, rounds - red)
            yield Row("full disk", "times that /health was not green again", rounds, rounds - green)
            stack.process.kill()
            stack.ended()
            stack.start()
            yield from promises.audit(stack, "full disk")
            stack.stop()
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=False)


def few_files(ground: Ground, rounds: int) -> Iterator[Row]:
    """100 clients of a stack whose processes may open few files."""
    for number in _FILES[:rounds]:
        promises, name = Promises(), f"{number} descriptors"
        with ground.stack() as stack:
            plain = stack.launch
            stack.limit_files(number)
            stack.start()
            with Load(stack.url, promises, clients=100):
                time.sleep(15)
            stack.process.kill()
            stack.ended()
            stack.launch = plain  # type: ignore[method-assign]
            stack.start()
            yield Row(name, "refused by the stack", promises.refused, gates=False)
            yield from promises.audit(stack, name)
            stack.stop()


def _mount(disk: Path) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "tmpfs", str(disk)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 20))
        except OSError:
            pass
        try:
            while True:
                file.write(bytes(1 << 12))
        except OSError:
            pass


def _turns(stack: ChaosStack, status: int, patience: float = 30) -> bool:
    end = time.monotonic() + patience
    while time.monotonic() < end:
        try:
            if httpx.get(stack.url + "/health", timeout=10, trust_env=False).status_code == status:
                return True
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    return False
