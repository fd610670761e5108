"""What the routes of the gateway share."""

import asyncio
from dataclasses import dataclass, field

from t0dspy.stack.background import Background
from t0dspy.stack.generations import Generations
from t0dspy.stack.rows import PATIENCE, ClickHouse, Witness
from t0dspy.stack.wire import refusal

CUT = "The stack stops, and this had not ended when its time was over, so it was cut. Send it again."


@dataclass
class Gateway:
    """What the routes share: the config that answers, the database, and work in the background."""

    generations: Generations
    clickhouse: ClickHouse
    background: Background = field(default_factory=Background)

    def __post_init__(self) -> None:
        self.witness = Witness(self.clickhouse)

    async def stored(self, kind: str, id: str, target: str = "") -> None:
        """Return once the row is in ClickHouse, with all rows of an inference; raises a Refusal (503) if not."""
        # The gateway writes an inference and its model inferences separately, and ignores errors of both.
        kinds = ("inference", "model") if kind == "inference" else (kind,)
        seen = await asyncio.gather(*(self.witness.saw(each, id, target) for each in kinds))
        if all(seen):
            return
        if any(seen) or await self.witness.is_half_stored(kind, id):
            raise refusal(
                503,
                f"Only a part of the {kind} {id} is in ClickHouse after {PATIENCE:.0f} s. Sending it again would store "
                "a second row.",
            )
        raise refusal(503, f"The {kind} row {id} did not reach ClickHouse within {PATIENCE:.0f} s. Send it again.")

    async def close(self) -> None:
        """Finish what is in flight, then let go of the gateway and the database."""
        await self.background.finish()
        await self.generations.close()
        await self.witness.close()
        await self.clickhouse.close()
