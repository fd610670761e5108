"""Whatever part of an insertion a process left behind, the next one makes it whole, and nothing twice."""

import json
import os
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chdb_http.segment import LARGEST, Segment, left
from support.clickhouse import Server
from support.tensorzero_rows import DATABASE, ROWS, calls, chat, inferences
from t0dspy.runtime.episode import new_episode

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


def left_behind(data: Path, table: str, rows: bytes, blocks: dict[str, int] | None, number: int = 1) -> Segment:
    """What a process leaves that was killed when it had `rows`, and had begun to store them on top of `blocks`."""
    (data / "journal").mkdir(exist_ok=True)
    segment = Segment(data / "journal" / f"{number:012}.rows")
    segment.add(DATABASE, table, rows)
    if blocks is not None:
        segment.mark("0", blocks)
    return segment


def blocks(server: Server, table: str) -> dict[str, int]:
    lines = (line.split("\t") for line in server.run(_LAST).splitlines())
    return {name: int(last) for name, last in lines if name in _TABLES[table]}


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
        assert list((data / "journal").iterdir()) == []
    assert set(counts(server, table, "others").values()) == {1 + len(subsets(table))}
    assert server.stop() == (0, "")


def test_what_is_marked_as_stored_is_not_stored_again(data: Path) -> None:
    """A process that died before it could remove the file leaves nothing to do."""
    left_behind(data, "ChatInference", json.dumps(chat("done")).encode(), {}).mark("0")
    with Server(data) as server:
        assert set(inferences(server, "done").values()) == {0}


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
    whole = left_behind(data, "ChatInference", json.dumps(chat("torn")).encode(), None)
    size = whole.path.stat().st_size
    whole.add(DATABASE, "ChatInference", json.dumps(chat("torn")).encode())
    os.truncate(whole.path, whole.path.stat().st_size - cut)
    with Server(data) as server:
        assert set(inferences(server, "torn").values()) == {1}
    (aside,) = (data / "journal").iterdir()
    assert (aside.suffix, aside.stat().st_size < size) == (".torn", True)


def test_rows_that_can_never_be_stored(data: Path) -> None:
    """They are set aside in a file, the log names it, and the rows beside them are stored."""
    bad = {**chat("odd"), "id": "no"}
    rows = "\n".join(json.dumps(row) for row in (chat("odd"), bad, chat("odd")))
    left_behind(data, "ChatInference", rows.encode(), None)
    server = Server(data)
    assert set(inferences(server, "odd").values()) == {2}
    code, errors = server.stop()
    (aside,) = (data / "journal").iterdir()
    assert json.loads(aside.read_text()) == bad
    assert (code, str(aside) in errors) == (0, True)


def test_rows_of_a_table_that_is_gone(data: Path) -> None:
    """They are set aside too, and the server starts."""
    with Server(data) as server:
        server.run("DROP TABLE ChatInference SYNC", database=DATABASE)
    left_behind(data, "ChatInference", json.dumps(chat("gone")).encode(), None)
    Segment(data / "journal" / f"{2:012}.rows").add("nowhere", "ChatInference", json.dumps(chat("gone")).encode())
    server = Server(data)
    assert server.run("SELECT count() FROM InferenceById", database=DATABASE) == "0\n"
    assert server.stop()[0] == 0
    assert len(list((data / "journal").glob("*.refused"))) == 2


def test_many_small_rows(data: Path) -> None:
    """Of a large segment, the rows are completed by statements that the engine takes."""
    rows = [
        json.dumps({"id": str(new_episode()), "function_name": "many", "input_tokens": 1}).encode() for _ in range(5000)
    ]
    server = Server(data)
    server.run("INSERT INTO ModelInference FORMAT JSONEachRow\n" + json.dumps(ROWS["ModelInference"]("x")),
               database=DATABASE)  # fmt: skip
    before = blocks(server, "ModelInference")
    segment = Segment(data / "journal" / f"{1:012}.rows")
    for row in rows:
        segment.add(DATABASE, "ModelInference", row)
    first = segment.batches()[0]
    store_in(server, "ModelInference", first.rows, {"ModelInference"})
    segment.mark("0", before)
    assert server.stop() == (0, "")
    with Server(data) as again:
        of_many = "FROM ModelInference WHERE function_name = 'many'"
        assert again.run(f"SELECT count() {of_many}", database=DATABASE) == "5000\n"
        counted = "SELECT sum(count) FROM CumulativeUsage WHERE type = 'model_inferences'"
        assert again.run(counted, database=DATABASE) == "5001\n"


@given(st.lists(st.tuples(st.sampled_from(sorted(ROWS)), st.integers(1, LARGEST))))
def test_batches_are_small_and_lose_nothing(rows: list[tuple[str, int]]) -> None:
    """Each batch is of one table and small enough for one block; together they are all rows, in order."""
    segment = Segment(Path("nowhere") / "x.rows")
    for at, (table, size) in enumerate(rows):
        segment._take({"database": DATABASE, "table": table}, str(at).encode() * (size // len(str(at)) or 1))
    batches = segment.batches()
    assert len({batch.key for batch in batches}) == len(batches)
    for batch in batches:
        lines = batch.rows.split(b"\n")
        assert len(lines) == 1 or sum(map(len, lines)) <= LARGEST
    for table in ROWS:
        joined = [line for batch in batches if batch.table == table for line in batch.rows.split(b"\n")]
        assert joined == [one for _, name, one in segment._rows if name == table]


@given(st.binary(max_size=200), st.integers(0, 400))
def test_a_damaged_file_never_stops_a_start(tmp_path_factory: pytest.TempPathFactory, noise: bytes, at: int) -> None:
    """Whole records before the damage are kept, nothing behind it is made up, and nothing that was there is deleted."""
    directory = tmp_path_factory.mktemp("damaged")
    segment, rows, ends = Segment(directory / f"{1:012}.rows"), [b'{"id":1}', b'{"id":2}'], []
    for table, row in zip(("ChatInference", "ModelInference"), rows, strict=True):
        segment.add(DATABASE, table, row)
        ends.append(segment.path.stat().st_size)
    whole = segment.path.read_bytes()
    damaged = whole[:at] + noise + whole[at:]
    segment.path.write_bytes(damaged)
    (again,) = left(directory)
    intact = [row for row, end in zip(rows, ends, strict=True) if damaged[:end] == whole[:end]]
    assert [batch.rows for batch in again.batches()] == intact
    assert sum(path.stat().st_size for path in directory.iterdir()) == len(damaged)
