"""The state that the routes of the gateway share."""

import asyncio
from dataclasses import dataclass, field

from t0dspy.stack.gateway.background import Background
from t0dspy.stack.gateway.generations import Generations
from t0dspy.stack.gateway.row_watcher import PATIENCE, ClickHouse, RowWatcher
from t0dspy.stack.gateway.wire import refusal

CUT = "The stack is stopping, and this request did not end in time, so it was cut. Send it again."


@dataclass
class Gateway:
    """The loaded config, the database and the background tasks."""

    generations: Generations
    clickhouse: ClickHouse
    background: Background = field(default_factory=Background)

    def __post_init__(self) -> None:
        self.row_watcher = RowWatcher(self.clickhouse)

    async def require_stored(self, kind: str, id: str, target: str = "") -> None:
        """Wait until a row is in ClickHouse.

        Raises:
            Refusal: 503, because the row is not stored after `PATIENCE` seconds.
        """
        # The gateway writes an inference and its model inferences separately, and ignores errors of both.
        kinds = ("inference", "model") if kind == "inference" else (kind,)
        stored = await asyncio.gather(*(self.row_watcher.wait_until_stored(each, id, target) for each in kinds))
        if all(stored):
            return
        if any(stored) or await self.row_watcher.is_half_stored(kind, id):
            raise refusal(
                503,
                f"Only a part of the {kind} {id} is in ClickHouse after {PATIENCE:.0f} s. Sending it again would store "
                "a second row.",
            )
        raise refusal(503, f"The {kind} row {id} did not reach ClickHouse within {PATIENCE:.0f} s. Send it again.")

    async def close(self) -> None:
        """Finish the requests in flight, then close the gateway and the database."""
        await self.background.finish()
        await self.generations.close()
        await self.row_watcher.close()
        await self.clickhouse.close()
