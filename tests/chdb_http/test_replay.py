"""Whatever part of an insertion a process left behind, the next one makes it whole, and nothing twice."""

import json
import os
import random
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chdb_http.engine_error import EngineError
from chdb_http.part_checker import PartChecker
from chdb_http.replay import store
from chdb_http.segment import MOST, Entry, Segment
from support.clickhouse import Server, refused
from support.tensorzero_rows import DATABASE, ROWS, calls, chat, feedback, inferences, send
from t0dspy.transport.episode import new_episode

_TABLES = {
    "ChatInference": (
        "ChatInference",
        "InferenceById",
        "InferenceByEpisodeId",
        "InferenceTag",
        "TagInference",
        "VariantStatistics",
        "EpisodeById",
    ),
    "ModelInference": ("ModelInference", "ModelProviderStatistics", "VariantStatistics", "CumulativeUsage"),
}
_LAST = "SELECT table, max(max_block_number) FROM system.parts WHERE active AND database = 'tensorzero' GROUP BY table"


def entry(table: str, rows: bytes, database: str = DATABASE) -> Entry:
    """An insertion as the gateway makes it."""
    return Entry(database, table, (("async_insert", "1"), ("input_format_skip_unknown_fields", "0")), rows)


def left_behind(data: Path, table: str, rows: bytes, blocks: dict[str, int] | None, number: int = 1) -> Segment:
    """What a process leaves that was killed when it had `rows`, and had begun to store them on top of `blocks`."""
    (data / "journal").mkdir(exist_ok=True)
    segment = Segment.after(data / "journal", number - 1)
    segment.add(entry(table, rows))
    if blocks is not None:
        segment.mark("0", blocks)
    return segment


def blocks(server: Server, table: str) -> dict[str, int]:
    lines = (line.split("\t") for line in server.run(_LAST).splitlines())
    return {name: int(last) for name, last in lines if name in _TABLES.get(table, (name,))}


def store_in(server: Server, table: str, rows: bytes, targets: set[str]) -> None:
    """Do by hand what the engine does of an insertion, and no more of it than `targets`."""
    server.run(f"CREATE TABLE half AS {table}", database=DATABASE)
    server.run(b"INSERT INTO half FORMAT JSONEachRow\n" + rows, database=DATABASE)
    views = "SELECT name, create_table_query, as_select FROM system.tables WHERE engine = 'MaterializedView'"
    for text in server.run(f"{views} FORMAT JSONCompactEachRow").splitlines():
        name, made, query = json.loads(text)
        target = made.split(" TO tensorzero.")[1].split(" ")[0]
        if f"FROM tensorzero.{table}" in query and target in targets:
            columns = server.run(f"SELECT name FROM system.columns WHERE table = '{name}' ORDER BY position").split()
            from_half = query.replace(f"tensorzero.{table}", "tensorzero.half")
            server.run(f"INSERT INTO {target} ({', '.join(columns)}) {from_half}", database=DATABASE)
    if table in targets:
        server.run(f"ALTER TABLE {table} ATTACH PARTITION tuple() FROM half", database=DATABASE)
    server.run("DROP TABLE half SYNC", database=DATABASE)


def counts(server: Server, table: str, function: str) -> dict[str, float]:
    return inferences(server, function) if table == "ChatInference" else calls(server, function)


def usage(server: Server) -> list[float]:
    sums = server.run("SELECT sum(count) FROM CumulativeUsage GROUP BY type ORDER BY type", database=DATABASE)
    return [float(line) for line in sums.split()]


def subsets(table: str) -> list[set[str]]:
    """Nothing, all, the table without its views, its views without the table, and some by chance."""
    tables, dice = _TABLES[table], random.Random(7)
    by_chance = [dice.sample(tables, dice.randint(1, len(tables) - 1)) for _ in range(4)]
    return [set(), set(tables), {table}, set(tables) - {table}, *map(set, by_chance)]


@pytest.mark.slow
@pytest.mark.parametrize("table", sorted(_TABLES))
def test_whatever_part_was_stored_the_rest_is_added(data: Path, table: str) -> None:
    """After each way to be cut off, three rows are three rows in the table and behind every view."""
    server = Server(data)
    server.run(f"INSERT INTO {table} FORMAT JSONEachRow\n" + json.dumps(ROWS[table]("others")), database=DATABASE)
    for number, stored in enumerate(subsets(table)):
        function, before = f"f{number}", blocks(server, table)
        used = usage(server)
        rows = "\n".join(json.dumps(ROWS[table](function)) for _ in range(3)).encode()
        store_in(server, table, rows, stored)
        assert server.stop() == (0, "")
        left_behind(data, table, rows, before)
        server = Server(data)
        server.run(f"INSERT INTO {table} FORMAT JSONEachRow\n" + json.dumps(ROWS[table]("others")), database=DATABASE)
        found = counts(server, table, function)
        assert found == dict.fromkeys(found, 3), stored
        if table == "ModelInference":
            assert [now - then for now, then in zip(usage(server), used, strict=True)] == [4 * 3, 4, 4 * 4]
        assert list((data / "journal").glob("*.log")) == []
    assert set(counts(server, table, "others").values()) == {1 + len(subsets(table))}
    assert server.stop() == (0, "")


def test_the_first_row_of_all(data: Path) -> None:
    """Tables that had no block yet have one now: it is the row's."""
    row = json.dumps(chat("first"))
    with Server(data) as server:
        assert blocks(server, "ChatInference") == {}
        server.run(f"INSERT INTO ChatInference FORMAT JSONEachRow\n{row}", database=DATABASE)
    left_behind(data, "ChatInference", row.encode(), {})
    with Server(data) as server:
        assert set(inferences(server, "first").values()) == {1}


@pytest.mark.parametrize("stored", [True, False])
def test_a_table_that_has_changed_since(data: Path, stored: bool) -> None:
    """Of a table that has a view of the user's by now, the row is there once all the same."""
    row = json.dumps(chat("changed"))
    with Server(data) as server:
        before = blocks(server, "ChatInference")
        if stored:
            server.run(f"INSERT INTO ChatInference FORMAT JSONEachRow\n{row}", database=DATABASE)
        server.run("CREATE TABLE odd (id UUID) ENGINE = MergeTree ORDER BY id", database=DATABASE)
        server.run("CREATE MATERIALIZED VIEW v TO odd AS SELECT id FROM ChatInference", database=DATABASE)
    left_behind(data, "ChatInference", row.encode(), before)
    with Server(data) as server:
        assert set(inferences(server, "changed").values()) == {1}


def test_many_segments_in_order(data: Path) -> None:
    """All files are stored before the first query is answered, and new rows come in new ones."""
    for number in (9, 10, 11):
        left_behind(data, "ChatInference", json.dumps(chat("many")).encode(), None, number)
    with Server(data) as server:
        assert set(inferences(server, "many").values()) == {3}


@pytest.mark.parametrize("cut", [1, 30, 300])
def test_a_row_that_was_being_written(data: Path, cut: int) -> None:
    """A torn end was not acknowledged: the rows before it are stored, and it is set aside."""
    segment = left_behind(data, "ChatInference", json.dumps(chat("torn")).encode(), None)
    size = segment.path.stat().st_size
    segment.add(entry("ChatInference", json.dumps(chat("torn")).encode()))
    os.truncate(segment.path, segment.path.stat().st_size - cut)
    with Server(data) as server:
        assert set(inferences(server, "torn").values()) == {1}
    (aside,) = (data / "journal" / "damaged").iterdir()
    assert aside.stat().st_size < size


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_a_damaged_record_costs_that_record_only(data: Path, place: float) -> None:
    """Of three records, the two around a flipped byte are stored; the start says so, and so does the next one."""
    segment = left_behind(data, "ChatInference", json.dumps(chat("kept")).encode(), None)
    first = segment.path.stat().st_size
    segment.add(entry("ChatInference", json.dumps(chat("damaged")).encode()))
    second = segment.path.stat().st_size
    segment.add(entry("ChatInference", json.dumps(chat("kept")).encode()))
    data_bytes = bytearray(segment.path.read_bytes())
    data_bytes[first + int((second - first) * place)] ^= 4
    segment.path.write_bytes(data_bytes)
    for _ in range(2):
        server = Server(data)
        assert set(inferences(server, "kept").values()) == {2}
        assert set(inferences(server, "damaged").values()) == {0}
        _, errors = server.stop()
        assert "Damaged parts of the write-ahead log are in" in errors
    (aside,) = (data / "journal" / "damaged").iterdir()
    assert aside.read_bytes() == data_bytes[first:second]


def test_rows_that_can_never_be_stored(data: Path) -> None:
    """They are set aside, every start says so, the rows beside them are stored, and they can be put back."""
    segment = left_behind(data, "ChatInference", json.dumps(chat("odd")).encode(), None)
    for row in ({**chat("odd"), "later": 1}, chat("odd")):
        segment.add(entry("ChatInference", json.dumps(row).encode()))
    for extra, stored in ((), 2), ((), 2), (("--restore-rows",), 2):
        server = Server(data, *extra)
        assert set(inferences(server, "odd").values()) == {stored}
        code, errors = server.stop()
        assert (code, "INCORRECT_DATA" in errors or "Start with --restore-rows" in errors) == (0, True)
        (aside,) = (data / "journal" / "refused").iterdir()
        assert b'"later": 1' in aside.read_bytes()
    with Server(data) as server:
        server.run("ALTER TABLE ChatInference ADD COLUMN later UInt8", database=DATABASE)
    for extra in (("--restore-rows",), ()):
        server = Server(data, *extra)
        assert set(inferences(server, "odd").values()) == {3}
        assert server.stop() == (0, "")


@pytest.mark.parametrize(
    ("name", "before_storing", "permanent"),
    [
        ("CANNOT_PARSE_UUID", True, True),
        ("VIOLATED_CONSTRAINT", True, True),
        ("CANNOT_PARSE_UUID", False, False),  # by a view, when the table has the row
        ("CANNOT_CREATE_TIMER", True, False),  # no file descriptors
        ("CANNOT_OPEN_FILE", True, False),
        ("MEMORY_LIMIT_EXCEEDED", True, False),
        ("NOT_ENOUGH_SPACE", True, False),
        ("TIMEOUT_EXCEEDED", True, False),
        ("STD_EXCEPTION", True, False),
        ("SOMETHING_NEW", True, False),
    ],
)
def test_only_an_error_about_the_row_is_permanent(
    tmp_path: Path, name: str, before_storing: bool, permanent: bool
) -> None:
    """After any other error, the rows stay in the log and are stored later."""
    segment = Segment.after(tmp_path, 0)
    segment.add(entry("ChatInference", b"{}"))

    def refuse() -> Any:
        raise EngineError(name, "no", 1, before_storing=before_storing)

    failing = SimpleNamespace(run=lambda *_, **__: refuse(), close=lambda: None)
    with nullcontext() if permanent else pytest.raises(EngineError):
        store(segment, lambda: failing, lambda *_: None, ["ChatInference"], PartChecker(tmp_path))
    assert (tmp_path / "refused").exists() == permanent


def test_rows_of_a_table_that_is_gone(data: Path) -> None:
    """They are set aside too, and the server starts."""
    with Server(data) as server:
        server.run("DROP TABLE ChatInference SYNC", database=DATABASE)
    left_behind(data, "ChatInference", json.dumps(chat("gone")).encode(), None)
    Segment.after(data / "journal", 1).add(entry("ChatInference", json.dumps(chat("gone")).encode(), "nowhere"))
    server = Server(data)
    assert server.run("SELECT count() FROM InferenceById", database=DATABASE) == "0\n"
    assert server.stop()[0] == 0
    assert len(list((data / "journal" / "refused").glob("*.log"))) == 2


def test_rows_whose_view_lost_its_table(data: Path) -> None:
    """The table of a view can be made again, so the rows wait for it."""
    with Server(data) as server:
        made = server.run("SHOW CREATE TABLE InferenceTag FORMAT RawBLOB", database=DATABASE)
        server.run("DROP TABLE InferenceTag SYNC", database=DATABASE)
    left_behind(data, "ChatInference", json.dumps(chat("waits")).encode(), None)
    with Server(data) as server:
        assert "cannot be" in server.post("SELECT count() FROM ChatInference", database=DATABASE).text
        server.run(made, database=DATABASE)
        assert set(inferences(server, "waits").values()) == {1}


def test_rows_of_an_earlier_version(data: Path) -> None:
    """A log in the old format is not passed over: the server says what to do."""
    (data / "journal").mkdir(exist_ok=True)
    (data / "journal" / "000000000001.rows").write_bytes(b"0 {}\n")
    code, _, errors = refused("--data-dir", str(data), "--port", "0")
    assert code == 1
    assert "Start that version once with this directory" in errors
    (data / "journal" / "000000000001.rows").unlink()
    (data / "journal" / "000000000001.7.refused").write_bytes(b"{}")
    server = Server(data)
    assert "An earlier version set rows aside" in server.stop()[1]


def test_many_small_rows(data: Path) -> None:
    """A large segment is completed, in the table and behind its views."""
    rows = [{"id": str(new_episode()), "function_name": "many", "input_tokens": 1} for _ in range(MOST)]
    lines = [json.dumps(row).encode() for row in rows]
    server = Server(data)
    server.run("INSERT INTO ModelInference FORMAT JSONEachRow\n" + json.dumps(ROWS["ModelInference"]("x")),
               database=DATABASE)  # fmt: skip
    before = blocks(server, "ModelInference")
    segment = Segment.after(data / "journal", 0)
    for line in lines:
        assert segment.takes(entry("ModelInference", line))
        segment.add(entry("ModelInference", line))
    assert not segment.takes(entry("ModelInference", lines[0]))
    store_in(server, "ModelInference", b"\n".join(lines), {"ModelInference"})
    segment.mark("0", before)
    assert server.stop() == (0, "")
    with Server(data) as again:
        of_many = "FROM ModelInference WHERE function_name = 'many'"
        assert again.run(f"SELECT count() {of_many}", database=DATABASE) == f"{MOST}\n"
        counted = "SELECT sum(count) FROM CumulativeUsage WHERE type = 'model_inferences'"
        assert again.run(counted, database=DATABASE) == f"{MOST + 1}\n"


@pytest.mark.parametrize("stored", [set(), {"BooleanMetricFeedback"}, {"BooleanMetricFeedbackByTargetId"}])
def test_feedback_is_completed_behind_chained_views(data: Path, stored: set[str]) -> None:
    """Feedback that a kill interrupts is in its table and in all views, also in a view of a view."""
    row = chat("rated")
    said = json.dumps(feedback("BooleanMetricFeedback", row["id"])).encode()
    server = Server(data)
    send(server, "ChatInference", row)
    before = blocks(server, "BooleanMetricFeedback")
    if stored:
        store_in(server, "BooleanMetricFeedback", said, stored)
    assert server.stop() == (0, "")
    left_behind(data, "BooleanMetricFeedback", said, before)
    with Server(data) as again:
        for table in ("", "ByTargetId", "ByVariant"):
            counted = f"SELECT count() FROM BooleanMetricFeedback{table}"
            assert again.run(counted, database=DATABASE) == "1\n"
        assert again.run("SELECT count() FROM FeedbackTag", database=DATABASE) == "2\n"
        assert again.run("SELECT sum(count) FROM FeedbackByVariantStatistics", database=DATABASE) == "1\n"
