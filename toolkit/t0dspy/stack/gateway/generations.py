"""Replace the loaded config without dropping requests, and close the old one when its requests have ended."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from t0dspy.stack.gateway.embedded import Native


@dataclass
class Generation:
    """A loaded config, its hash, and its requests in flight."""

    native: Native
    config_hash: str
    base_path: str = ""
    """The prefix of all paths, such as `/prefix`, if the config sets one."""
    in_flight: int = 0
    idle: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[Native]:
        """Keep this generation open while it answers a request."""
        self.in_flight += 1
        self.idle.clear()
        try:
            yield self.native
        finally:
            self.in_flight -= 1
            if not self.in_flight:
                self.idle.set()

    async def retire(self) -> None:
        """Wait for the requests in flight, then close the gateway."""
        if self.in_flight:
            await self.idle.wait()
        await self.native.close()


class Generations:
    """The current generation, and old generations that still answer requests."""

    def __init__(self, first: Generation) -> None:
        self.current = first
        self._retiring: set[asyncio.Task[None]] = set()

    def swap(self, new: Generation) -> None:
        """Make `new` answer new requests. The old generation finishes its requests and is closed."""
        old, self.current = self.current, new
        task = asyncio.create_task(old.retire())
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    async def close(self) -> None:
        """Wait until every generation has finished its requests and is closed."""
        await asyncio.gather(*self._retiring, self.current.retire())
