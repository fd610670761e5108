"""Stacks for chaos: programs that are exported once, tables that are made once, and a scripted model."""

import os
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import httpx

from support.rollout import Project, exported
from support.served import storyteller
from support.stack import alive, migrated_data, wait_until
from t0dspy.stack.processes.data_dir import find_running
from t0dspy.testing import ScriptedUpstream


class ChaosStack(Project):
    """A stack whose ClickHouse is found as any command finds it: by `stack.json`, credentials included."""

    def rows(self, sql: str) -> list[list[str]]:
        running = find_running(self.data_dir)
        assert running is not None, self.said()
        url = running.urls["clickhouse"] + "/?database=tensorzero"
        answer = httpx.post(url, content=f"{sql} FORMAT TabSeparated", timeout=120, trust_env=False)
        assert answer.status_code == 200, answer.text
        return [line.split("\t") for line in answer.text.splitlines()]

    def limit_files(self, number: int) -> None:
        """Launch with few file descriptors: for the command before it starts its parts, so for those too."""
        launch = self.launch

        def limited() -> Any:
            process = launch()
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (number, number))
            return process

        self.launch = limited  # type: ignore[method-assign]

    def victims(self) -> dict[str, int]:
        """Every process that can be killed, by name."""
        return {**self.pids(), "supervisor": self.process.pid}

    def left(self, pids: dict[str, int], patience: float = 15) -> int:
        """How many of the processes are still there after a while."""
        try:
            wait_until(lambda: not any(alive(pid) for pid in pids.values()), patience)
        except AssertionError:
            return sum(alive(pid) for pid in pids.values())
        return 0


class Ground:
    """Where stacks come from."""

    def __init__(self, scratch: Path) -> None:
        os.environ["HOME"] = str(scratch)
        self.scratch, self._count = scratch, 0
        self.upstream = ScriptedUpstream(storyteller)
        pristine = Project(scratch / "pristine", self.upstream)
        pristine.programs(exported)
        self._configs, self._data = pristine.configs, migrated_data(scratch)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.upstream.close()

    @contextmanager
    def stack(self, *flags: str, data: Path | None = None) -> Iterator[ChaosStack]:
        """A stack that is not started yet; `data` is where its data directory is to be."""
        self._count += 1
        directory = self.scratch / f"stack{self._count}"
        shutil.copytree(self._configs, directory / "configs")
        stack = ChaosStack(directory, self.upstream, *flags)
        if data is not None:
            stack.data_dir = data
        shutil.copytree(self._data, stack.data_dir, symlinks=True)
        with stack:
            yield stack
