"""Responses and requests are compressed as clients ask for it."""

import gzip

import lz4.frame
import pytest
import zstandard

from support.clickhouse import Server


@pytest.mark.parametrize("encoding", ["gzip", "lz4", "zstd", "deflate"])
@pytest.mark.parametrize("rows", [3, 400_000])
def test_compressed_answers(server: Server, encoding: str, rows: int) -> None:
    """An answer is compressed as Accept-Encoding asks, held back or streamed."""
    with server.http.stream(
        "POST", "/", content=f"SELECT number FROM numbers({rows})", headers={"accept-encoding": encoding}
    ) as answer:
        raw = b"".join(answer.iter_raw())
    assert answer.headers["content-encoding"] == encoding
    unpack = {"gzip": gzip.decompress, "lz4": lz4.frame.decompress, "zstd": _unzstd, "deflate": _inflate}[encoding]
    assert unpack(raw).split() == [str(number).encode() for number in range(rows)]


def _unzstd(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompressobj().decompress(data)


def _inflate(data: bytes) -> bytes:
    import zlib

    return zlib.decompress(data)


def test_compression_can_be_declined(server: Server) -> None:
    """`enable_http_compression=0` and `q=0` mean plain bytes."""
    for settings, accepted in (({"enable_http_compression": 0}, "gzip"), ({}, "gzip;q=0"), ({}, "br"), ({}, "")):
        answer = server.post("SELECT 1", headers={"accept-encoding": accepted}, **settings)
        assert "content-encoding" not in answer.headers


@pytest.mark.parametrize("encoding", ["gzip", "lz4", "zstd"])
def test_broken_compression(server: Server, encoding: str) -> None:
    """A body that is not what Content-Encoding says, or is cut off, is an error."""
    whole = {"gzip": gzip.compress, "lz4": lz4.frame.compress, "zstd": zstandard.compress}[encoding](b"SELECT 1" * 99)
    for body in (b"SELECT 1", whole[:-5], whole + b"?"):
        answer = server.post(body, headers={"content-encoding": encoding})
        assert answer.headers["x-clickhouse-exception-code"] == "271", answer.text
