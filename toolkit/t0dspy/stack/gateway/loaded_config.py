"""Which config a gateway loaded last: the newest row of ConfigSnapshot that is not from the future.

TensorZero 2026.6.0 writes the row of a config anew, with ClickHouse's time, whenever it loads the config. A clock that
was ahead once leaves rows with a later time than any that follow, so those are passed over.
"""

from t0dspy.errors import GatewayError
from t0dspy.stack.gateway.witness import ClickHouse

_EPOCH = "1970-01-01 00:00:00.000000"


async def clock_of(clickhouse: ClickHouse) -> str:
    """Return the time by ClickHouse's clock, as it writes times; before all times if it does not answer."""
    try:
        return (await clickhouse.column("SELECT toString(now64(3, 'UTC'))"))[0]
    except GatewayError:  # the first start: the database is made by the gateway
        return _EPOCH


# Workaround (tensorzero 2026.6): the embedded gateway does not return the hash of its config, so it is read from the
# row that the load writes, which a wrong clock can date in the future; remove when the client returns the hash.
async def config_hash_since(clickhouse: ClickHouse, before: str) -> str:
    """Return the hash of the config loaded since `before`, spelled as `/status` spells it (a decimal number).

    Loading a config writes its row in ConfigSnapshot anew, so right after a load the newest row is it.

    Raises:
        GatewayError: there is no such row.
    """
    newer = (
        "SELECT toString(hash) FROM ConfigSnapshot WHERE last_used >= toDateTime64({before:String}, 6, 'UTC') "
        "AND last_used <= now64(6) + INTERVAL 1 SECOND"
    )
    found = await clickhouse.column(f"{newer} ORDER BY last_used DESC LIMIT 1", before=before)
    if not found:
        raise GatewayError(
            "The gateway stored nothing about this config, so it would store no inference either. Set "
            "enabled = true in [gateway.observability]."
        )
    return found[0]


async def from_the_future(clickhouse: ClickHouse) -> str:
    """Return a sentence about rows of ConfigSnapshot that are from the future; empty when there are none."""
    times = "SELECT toString(max(last_used)) FROM ConfigSnapshot"
    found = await clickhouse.column(f"{times} WHERE last_used > now64(6) + INTERVAL 1 MINUTE HAVING count() > 0")
    if not found:
        return ""
    return (
        f"ClickHouse holds a config row from the future ({found[0]}), so a clock was ahead when it was written. The "
        "gateway starts all the same; rows that were logged then keep their times."
    )
