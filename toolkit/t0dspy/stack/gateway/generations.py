"""Which loaded config answers now, and when an old one may go."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from t0dspy.stack.gateway.embedded import Native


@dataclass
class Generation:
    """A loaded config, its hash, and how many requests it is answering."""

    native: Native
    config_hash: str
    base_path: str = ""
    """`/prefix`, where the config names one."""
    writes_first: bool = False
    """Whether the gateway writes an inference's rows before it answers: `async_writes = false`."""
    in_flight: int = 0
    idle: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[Native]:
        """Keep this generation alive while a request is answered by it."""
        self.in_flight += 1
        self.idle.clear()
        try:
            yield self.native
        finally:
            self.in_flight -= 1
            if not self.in_flight:
                self.idle.set()

    async def retire(self) -> None:
        """Wait for the requests in flight, then let go of the gateway."""
        if self.in_flight:
            await self.idle.wait()
        await self.native.close()


class Generations:
    """The present generation; `swap` puts a new one in its place without dropping a request."""

    def __init__(self, first: Generation) -> None:
        self.current = first
        self._retiring: set[asyncio.Task[None]] = set()

    def swap(self, new: Generation) -> None:
        """From now on `new` answers; the old one finishes what it has begun."""
        old, self.current = self.current, new
        task = asyncio.create_task(old.retire())
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    async def close(self) -> None:
        """Return when every generation has finished and is gone."""
        await asyncio.gather(*self._retiring, self.current.retire())
