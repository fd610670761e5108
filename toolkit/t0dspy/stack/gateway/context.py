"""What the routes of the gateway share."""

from dataclasses import dataclass, field

from t0dspy.stack.gateway.background import Background
from t0dspy.stack.gateway.generations import Generations
from t0dspy.stack.gateway.wire import refusal
from t0dspy.stack.gateway.witness import PATIENCE, ClickHouse, Witness

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
        """Return once the row is in ClickHouse; raises a Refusal (503) when it does not come."""
        # An inference is two rows, written side by side; only the gateway knows when the second one is there.
        listen = kind != "inference" or self.generations.current.writes_first
        if await self.witness.saw(kind, id, target, listen=listen):
            return
        if await self.witness.is_half_stored(kind, id):
            raise refusal(
                503,
                f"The {kind} row {id} is in its table in ClickHouse, but after {PATIENCE:.0f} s not in the view that "
                "finds it. Sending it again would store a second row.",
            )
        raise refusal(503, f"The {kind} row {id} did not reach ClickHouse within {PATIENCE:.0f} s. Send it again.")

    async def close(self) -> None:
        """Finish what is in flight, then let go of the gateway and the database."""
        await self.background.finish()
        await self.generations.close()
        await self.witness.close()
        await self.clickhouse.close()
