"""Fetch the next result in the background while the current one is processed."""

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


def prefetch(fetches: Iterable[Callable[[], T]]) -> Iterator[T]:
    """Yield the results of `fetches` in their order; each fetch starts when the one before it has finished.

    A caller who stops early does not wait; a running fetch finishes in the background, and its result is discarded.
    """
    before: Fetch[T] | None = None
    for fetch in fetches:
        result = before.result() if before else None
        after = Fetch(fetch)
        if before:
            yield result  # type: ignore[misc]
        before = after
    if before:
        yield before.result()


class Fetch(Generic[T]):
    """A result that a thread of its own fetches; a caller who does not need it does not wait."""

    def __init__(self, fetch: Callable[[], T]) -> None:
        """Start `fetch` immediately."""
        self._fetch = fetch
        self._results: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="t0dspy-pull", daemon=True)
        self._thread.start()

    def result(self) -> T:
        """Wait for the result and return it, once; raise the exception of `fetch` if it failed."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._results.pop()

    def _run(self) -> None:
        try:
            self._results.append(self._fetch())
        except BaseException as error:
            self._error = error
