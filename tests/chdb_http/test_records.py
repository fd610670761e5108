"""A log file is read past its damage, and rows cannot imitate a record."""

import uuid

from hypothesis import given
from hypothesis import strategies as st

from chdb_http.records import decode, encode

_MARK = uuid.UUID(int=7 << 120 | 5).bytes
_bodies = st.lists(st.binary(max_size=60), min_size=1, max_size=5)


def written(bodies: list[bytes]) -> list[bytes]:
    return [encode(_MARK, {"n": index}, body) for index, body in enumerate(bodies)]


@given(_bodies)
def test_what_is_written_is_read(bodies: list[bytes]) -> None:
    """Heads and bodies, in order."""
    read = list(decode(_MARK, b"".join(written(bodies))))
    assert [(head, body) for _, head, body in read] == [({"n": index}, body) for index, body in enumerate(bodies)]


@given(_bodies, st.data())
def test_a_flipped_byte_costs_one_record(bodies: list[bytes], data: st.DataObject) -> None:
    """All other records are read, and the damaged bytes are those of the record."""
    records = written(bodies)
    victim = data.draw(st.integers(0, len(bodies) - 1))
    place = data.draw(st.integers(0, len(records[victim]) - 1))
    damaged = bytearray(records[victim])
    damaged[place] ^= 1 << data.draw(st.integers(0, 7))
    records[victim] = bytes(damaged)
    read = list(decode(_MARK, b"".join(records)))
    assert [body for _, head, body in read if head is None] == [bytes(damaged)]
    expected = [({"n": index}, body) for index, body in enumerate(bodies) if index != victim]
    assert [(head, body) for _, head, body in read if head is not None] == expected


@given(_bodies, st.binary(max_size=200), st.integers(0, 400))
def test_no_byte_is_lost(bodies: list[bytes], noise: bytes, position: int) -> None:
    """Whatever stands in a file, records and damage together are all of it."""
    whole = b"".join(written(bodies))
    data = whole[:position] + noise + whole[position:]
    read = list(decode(_MARK, data))
    parts = [body if head is None else encode(_MARK, head, body) for _, head, body in read]
    assert b"".join(parts) == data


@given(_bodies)
def test_a_record_inside_a_row_is_a_row(bodies: list[bytes]) -> None:
    """A record of another file in a damaged row is not read as a record."""
    forged = encode(uuid.UUID(int=1).bytes, {"n": "forged"}, b"{}")
    record = bytearray(encode(_MARK, {"n": 0}, forged))
    record[20] ^= 255
    read = list(decode(_MARK, bytes(record) + b"".join(written(bodies))))
    assert all(head is None or head["n"] != "forged" for _, head, _ in read)
