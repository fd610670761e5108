"""The state that the routes of the gateway share."""

from dataclasses import dataclass, field

from t0dspy.stack.gateway.background import Background
from t0dspy.stack.gateway.generations import Generations
from t0dspy.stack.gateway.wire import refusal
from t0dspy.stack.gateway.witness import PATIENCE, ClickHouse, Witness

CUT = "The stack is stopping, and this request did not end in time, so it was cut. Send it again."


@dataclass
class Gateway:
    """The loaded config, the database and the background tasks."""

    generations: Generations
    clickhouse: ClickHouse
    background: Background = field(default_factory=Background)

    def __post_init__(self) -> None:
        self.witness = Witness(self.clickhouse)

    async def wait_until_stored(self, kind: str, id: str, target: str = "") -> None:
        """Wait until a row is in ClickHouse.

        Raises:
            Refusal: 503, because the row is not stored after the witness's patience.
        """
        # An inference has two rows that are written concurrently. ClickHouse's news of the first row does not show
        # that the second one is stored, unless the gateway writes both before it answers.
        listen = kind != "inference" or self.generations.current.writes_first
        if await self.witness.wait_until_stored(kind, id, target, listen=listen):
            return
        if await self.witness.is_half_stored(kind, id):
            raise refusal(
                503,
                f"The {kind} row {id} is in its table in ClickHouse, but after {PATIENCE:.0f} s it is not in the view "
                "that is used to find it. Sending it again would store a second row.",
            )
        raise refusal(503, f"The {kind} row {id} did not reach ClickHouse within {PATIENCE:.0f} s. Send it again.")

    async def close(self) -> None:
        """Finish the requests in flight, then close the gateway and the database."""
        await self.background.finish()
        await self.generations.close()
        await self.witness.close()
        await self.clickhouse.close()
