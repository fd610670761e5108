"""Faults under the embedded ClickHouse alone, while it acknowledges rows.

Clients insert inferences, model inferences and all kinds of feedback, as the gateway does, into
TensorZero's schema. After each fault the server starts again, and two things are checked: every acknowledged row is in
its table once, and every view holds exactly what its tables hold, also of rows that were not acknowledged.

The faults: `kill -9` at any moment, also during recovery; a full disk (needs root, for a file system of its own); 128
file descriptors; a flipped byte in the log.
"""

import random
import resource
import shutil
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from chaos.accounts import Row
from chaos.stacks import Ground
from support.clickhouse import Server
from support.small_disk import can_mount, small_disk
from support.stack import migrated_data
from support.tensorzero_rows import DATABASE, chat, feedback, insertion, json_inference, model

CLIENTS = 4
PATIENCE = 30
"""Seconds that a client waits for an answer."""
_SEED = 20261130
EXACT = {
    "InferenceById": "SELECT count() FROM InferenceById",
    "InferenceByEpisodeId": "SELECT count() FROM InferenceByEpisodeId",
    "EpisodeById": "SELECT sum(length(i)) FROM (SELECT groupArrayMerge(inference_ids) AS i FROM EpisodeById "
    "GROUP BY episode_id_uint)",
    "InferenceTag": "SELECT count() / 2 FROM InferenceTag",
    "TagInference": "SELECT count() / 2 FROM TagInference",
    "VariantStatistics": "SELECT countMerge(count) FROM VariantStatistics",
}
"""Views that hold each inference once."""
MODELS = {
    "CumulativeUsage": "SELECT sum(count) FROM CumulativeUsage WHERE type = 'model_inferences'",
    "ModelProviderStatistics": "SELECT sumMerge(total_input_tokens) / 3 FROM ModelProviderStatistics",
    "VariantStatistics, tokens": "SELECT sumMerge(total_output_tokens) / 4 FROM VariantStatistics",
}
"""Views that hold each model inference once."""
FEEDBACK = {
    "BooleanMetricFeedback": ("BooleanMetricFeedbackByTargetId", "BooleanMetricFeedbackByVariant"),
    "FloatMetricFeedback": ("FloatMetricFeedbackByTargetId", "FloatMetricFeedbackByVariant"),
    "CommentFeedback": ("CommentFeedbackByTargetId",),
    "DemonstrationFeedback": ("DemonstrationFeedbackByInferenceId",),
}
"""Views that hold each feedback of a table once."""
TABLES = ("ChatInference", "JsonInference", "ModelInference", *FEEDBACK)


@dataclass
class Run:
    """A data directory under faults, and what its clients were told."""

    data: Path
    acknowledged: dict[str, set[str]] = field(default_factory=lambda: {table: set() for table in TABLES})
    lost: int = 0
    doubled: int = 0
    inexact: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    timeouts: int = 0

    @classmethod
    def fresh(cls, ground: Ground, directory: Path) -> "Run":
        """A run on TensorZero's empty tables, in `directory`."""
        shutil.copytree(migrated_data(ground.scratch) / "clickhouse", directory / "data", symlinks=True)
        return cls(directory / "data")

    def rows(self, scenario: str) -> Iterator[Row]:
        """What was counted."""
        number = sum(map(len, self.acknowledged.values()))
        yield Row(scenario, "acknowledged rows lost", number, self.lost)
        yield Row(scenario, "rows doubled", number, self.doubled)
        yield Row(scenario, f"views that are not exact: {dict(self.inexact) or 'none'}", number, len(self.inexact))
        yield Row(scenario, "insertions refused", self.refused)
        yield Row(scenario, f"insertions without an answer within {PATIENCE} s", self.timeouts)

    def work(self, url: str, over: threading.Event, dice: random.Random) -> None:
        """Insert until `over`, or until the server is gone."""
        with httpx.Client(base_url=url, timeout=PATIENCE, trust_env=False) as http:
            while not over.is_set():
                try:
                    self._insert_inference(http, dice)
                except httpx.ReadTimeout:
                    self.timeouts += 1
                except httpx.TransportError:
                    return

    def check(self, server: Server) -> None:
        """Compare all tables with what was acknowledged, and all views with their tables."""
        server.http.timeout = httpx.Timeout(600)  # this run may have the lowest priority on a busy machine
        counts = {}
        for table in TABLES:
            ids = server.run(f"SELECT id FROM {table}", database=DATABASE).split()
            counts[table] = len(ids)
            self.lost += len(self.acknowledged[table] - set(ids))
            self.doubled += len(ids) - len(set(ids))
        inferences = counts["ChatInference"] + counts["JsonInference"]
        expected = {sql: (name, inferences) for name, sql in EXACT.items()}
        expected |= {sql: (name, counts["ModelInference"]) for name, sql in MODELS.items()}
        for table, views in FEEDBACK.items():
            expected |= {f"SELECT count() FROM {view}": (view, counts[table]) for view in views}
        measured = counts["BooleanMetricFeedback"] + counts["FloatMetricFeedback"]
        statistics = "SELECT sum(count) FROM FeedbackByVariantStatistics"
        expected[statistics] = "FeedbackByVariantStatistics", measured
        expected["SELECT count() / 2 FROM FeedbackTag"] = "FeedbackTag", sum(counts[table] for table in FEEDBACK)
        for sql, (name, number) in expected.items():
            answer = server.run(sql, database=DATABASE).strip()
            held = 0 if answer in ("\\N", "nan") else float(answer)  # an empty table
            if held != number:
                self.inexact[f"{name} ({held - number:+g})"] += 1

    def _insert_inference(self, http: httpx.Client, dice: random.Random) -> None:
        table, make = dice.choice((("ChatInference", chat), ("JsonInference", json_inference)))
        row = make("f", input=dice.choice(("", "x" * dice.randrange(200_000))))
        rows = [(table, row), ("ModelInference", model("f", inference_id=row["id"]))]
        rows += [(name, feedback(name, row["id"])) for name in FEEDBACK if dice.random() < 0.3]
        for name, one in rows:
            answer = http.post(f"/?database={DATABASE}", content=insertion(name, one))
            if answer.status_code == 200:
                self.acknowledged[name].add(one["id"])
            else:
                self.refused += 1
                return


def under_load(run: Run, server: Server, dice: random.Random, fault: Callable[[], object], seconds: float) -> None:
    """Do `fault` after some rows and some seconds, while clients insert; then let them end."""
    over, before = threading.Event(), sum(map(len, run.acknowledged.values()))
    with ThreadPoolExecutor(CLIENTS) as pool:
        work = [pool.submit(run.work, server.url, over, random.Random(dice.random())) for _ in range(CLIENTS)]
        patience = time.monotonic() + 20
        while sum(map(len, run.acknowledged.values())) < before + 8 and time.monotonic() < patience:
            time.sleep(0.01)
        time.sleep(seconds)
        try:
            fault()
        finally:
            over.set()
    for one in work:
        one.result()


def kills(run: Run, dice: random.Random, count: int) -> None:
    """`kill -9` under load and, every third time, while the next process recovers."""
    done = 0
    while done < count:
        server = Server(run.data)
        under_load(run, server, dice, lambda: server.process.send_signal(signal.SIGKILL), dice.uniform(0, 0.5))  # noqa: B023
        server.stop(signal.SIGKILL)
        done += 1
        if done % 3 == 0 and done < count:
            recovering = Server(run.data)
            time.sleep(dice.uniform(0, 0.3))
            recovering.stop(signal.SIGKILL)
            done += 1
        if done % 20 < 2:
            checked(run)


def checked(run: Run) -> None:
    """Start, check, and stop in order."""
    with Server(run.data) as server:
        run.check(server)
    rows = sum(map(len, run.acknowledged.values()))
    counts = f"lost {run.lost}, doubled {run.doubled}, inexact {dict(run.inexact)}"
    print(f"  {rows} rows, {counts}", file=sys.stderr, flush=True)


def full_disks(run: Run, dice: random.Random, count: int) -> None:
    """Fill the disk under load, free it after a while, kill the process every second time."""
    for number in range(count):
        server, filler = Server(run.data), run.data.parent / "filler"

        def fill_and_free(server: Server = server, filler: Path = filler, number: int = number) -> None:
            with filler.open("wb", buffering=0) as file, suppress(OSError):
                while file.write(b"\0" * dice.choice((4096, 65536))):
                    pass
            time.sleep(dice.uniform(0.5, 2))
            if number % 2:
                server.process.send_signal(signal.SIGKILL)
            filler.unlink()
            time.sleep(0.5)

        under_load(run, server, dice, fill_and_free, dice.uniform(0, 0.5))
        server.stop(signal.SIGKILL if number % 2 else signal.SIGTERM)
        checked(run)


def few_descriptors(run: Run, dice: random.Random, count: int) -> None:
    """Serve with 128 file descriptors, and with more connections than that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for number in range(count):
        resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))
        try:
            server = Server(run.data)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

        def crowd(server: Server = server) -> None:
            clients = [httpx.Client(base_url=server.url, timeout=2, trust_env=False) for _ in range(60)]
            for client in clients:
                try:
                    client.get("/ping")
                except httpx.HTTPError:
                    break
            time.sleep(1.5)
            for client in clients:
                client.close()

        under_load(run, server, dice, crowd, 0)
        server.stop(signal.SIGKILL if number % 2 else signal.SIGTERM)
        checked(run)


def flipped_bytes(run: Run, dice: random.Random, count: int) -> int:
    """Flip a byte in the log of a killed process; return how many records that cost."""
    cost = 0
    for _ in range(count):
        server = Server(run.data)
        under_load(run, server, dice, lambda: server.process.send_signal(signal.SIGKILL), 0)  # noqa: B023
        server.stop(signal.SIGKILL)
        files = sorted((run.data / "journal").glob("*.log"))
        if files:
            data = bytearray(files[-1].read_bytes())
            data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
            files[-1].write_bytes(data)
        before = run.lost
        with Server(run.data) as server:
            run.check(server)
            for table, ids in run.acknowledged.items():  # those rows are gone: do not count them again
                ids &= set(server.run(f"SELECT id FROM {table}", database=DATABASE).split())
        print(f"  a flipped byte cost {run.lost - before} rows", file=sys.stderr, flush=True)
        cost, run.lost = cost + (run.lost - before), before
    return cost


def log_kills(ground: Ground, rounds: int) -> Iterator[Row]:
    """`kill -9` of ClickHouse under load and during recovery."""
    run = Run.fresh(ground, ground.scratch / "log-kills")
    kills(run, random.Random(_SEED), rounds)
    checked(run)
    yield from run.rows("log, kills")


def log_disk(ground: Ground, rounds: int) -> Iterator[Row]:
    """A disk that is full for a while."""
    if not can_mount():
        print("log-disk: skipped, because mounting a small tmpfs is not permitted here")
        return
    with small_disk(ground.scratch / "log-disk", 120) as disk:
        run = Run.fresh(ground, disk / "log")
        full_disks(run, random.Random(_SEED), rounds)
        yield from run.rows("log, full disk")


def log_files(ground: Ground, rounds: int) -> Iterator[Row]:
    """128 file descriptors."""
    run = Run.fresh(ground, ground.scratch / "log-files")
    few_descriptors(run, random.Random(_SEED), rounds)
    yield from run.rows("log, 128 descriptors")


def log_bytes(ground: Ground, rounds: int) -> Iterator[Row]:
    """Flipped bytes in the log."""
    run = Run.fresh(ground, ground.scratch / "log-bytes")
    cost = flipped_bytes(run, random.Random(_SEED), rounds)
    yield Row("log, flipped bytes", "rows that flipped bytes cost, beyond one each", rounds, max(0, cost - rounds))
    yield from run.rows("log, flipped bytes")
