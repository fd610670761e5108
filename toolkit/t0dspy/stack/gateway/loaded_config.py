"""Find the hash of the config that a gateway loaded last: the newest row of ConfigSnapshot that is not in the future.

Whenever TensorZero 2026.6.0 loads a config, it writes its row again with ClickHouse's time. If the clock was ahead
once, rows have a time in the future, so they are ignored.
"""

from t0dspy.errors import GatewayError
from t0dspy.stack.gateway.row_watcher import ClickHouse

_EPOCH = "1970-01-01 00:00:00.000000"


async def read_clock(clickhouse: ClickHouse) -> str:
    """Return ClickHouse's time in its text form, or the epoch if it does not answer."""
    try:
        return (await clickhouse.column("SELECT toString(now64(3, 'UTC'))"))[0]
    except GatewayError:  # at the first start, the gateway has yet to create the database
        return _EPOCH


# Workaround (tensorzero 2026.6): the embedded gateway does not return the hash of its config, so it is read from the
# row that the load writes, which a wrong clock can date in the future; remove when the client returns the hash.
async def config_hash_since(clickhouse: ClickHouse, before: str) -> str:
    """Return the hash of the config that was loaded after `before`, as a decimal number like in `/status`.

    Raises:
        GatewayError: ConfigSnapshot has no row of that time.
    """
    newer = (
        "SELECT toString(hash) FROM ConfigSnapshot WHERE last_used >= toDateTime64({before:String}, 6, 'UTC') "
        "AND last_used <= now64(6) + INTERVAL 1 SECOND"
    )
    hashes = await clickhouse.column(f"{newer} ORDER BY last_used DESC LIMIT 1", before=before)
    if not hashes:
        raise GatewayError(
            "The gateway stored nothing about this config, so it would store no inference either. Set "
            "enabled = true in [gateway.observability]."
        )
    return hashes[0]


async def warn_of_future_rows(clickhouse: ClickHouse) -> str:
    """Return a warning if ConfigSnapshot has rows with a time in the future; empty if it has none."""
    newest = "SELECT toString(max(last_used)) FROM ConfigSnapshot"
    times = await clickhouse.column(f"{newest} WHERE last_used > now64(6) + INTERVAL 1 MINUTE HAVING count() > 0")
    if not times:
        return ""
    return (
        f"ClickHouse holds a config row from the future ({times[0]}), so a clock was ahead when it was written. The "
        "gateway starts anyway; rows that were logged then keep their times."
    )
