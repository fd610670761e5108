"""Ahead of whoever reads: what will be wanted is fetched in the background."""

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


def one_ahead(fetches: Iterable[Callable[[], T]]) -> Iterator[T]:
    """The results of `fetches`, in their order; each is begun when the one before it has come.

    Whoever stops early waits for nothing: what is under way goes on in the background, and nobody hears of it.
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
    """What a thread of its own fetches. Whoever does not want it any more waits for nothing."""

    def __init__(self, fetch: Callable[[], T]) -> None:
        """Begins at once."""
        self._fetch = fetch
        self._results: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="t0dspy-pull", daemon=True)
        self._thread.start()

    def result(self) -> T:
        """What came, to be asked for once; raises what `fetch` raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._results.pop()

    def _run(self) -> None:
        try:
            self._results.append(self._fetch())
        except BaseException as error:
            self._error = error
