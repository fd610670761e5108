"""A budget of calls and cost is never exceeded."""

import contextlib
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from t0dspy.errors import SettingsError
from t0dspy.flywheel.models.budget import Budget, Ledger, Price, Stop


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=40), st.integers(0, 12))
def test_a_ledger_counts_each_answer_once_and_stops(asked: list[tuple[int, bool]], limit: int) -> None:
    """Kept answers count as fresh ones do, so that a resumed run stops where the first would have."""
    ledger = Ledger({"m": Price(1.0, 2.0)}, Budget(calls=limit))
    counted: set[str] = set()
    for number, fresh in asked:
        key = str(number)
        try:
            if fresh:
                ledger.reserve("m", 0)
            else:
                ledger.check_kept(key, 0)
        except Stop:
            assert len(counted) >= limit
            break
        ledger.count(key, "m", (10, 5), fresh=fresh)
        counted.add(key)
        assert ledger.spent.calls == len(counted) <= limit
        assert ledger.spent.cost == pytest.approx(len(counted) * 20 / 1e6)


def test_many_threads_pass_no_limit() -> None:
    """A call is under way until its answer is counted, so that no other slips in between."""
    for _ in range(20):
        ledger, calls = Ledger({}, Budget(calls=25)), iter(range(10**6))

        def ask(ledger: Ledger = ledger, calls: Iterator[int] = calls) -> None:
            with contextlib.suppress(Stop):
                while True:
                    ledger.reserve("m", 0)
                    time.sleep(0)
                    ledger.count(str(next(calls)), "m", (1, 1), fresh=True)

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert ledger.spent.calls == 25


def test_a_cost_needs_prices() -> None:
    """Of every model that is asked."""
    with pytest.raises(SettingsError, match="prices"):
        Ledger({}, Budget(cost=1.0))
    with pytest.raises(Stop, match="price of 'other'"):
        Ledger({"m": Price(1, 1)}, Budget(cost=1.0)).reserve("other", 0)


def test_what_an_optimizer_left_behind_stays_stopped() -> None:
    """Its threads may not spend what is put aside for the judge."""
    ledger = Ledger({}, Budget(calls=1))
    ledger.reserve("m", ledger.part)
    ledger.count("k", "m", (1, 1), fresh=True)
    for ask in (lambda part: ledger.reserve("m", part), lambda part: ledger.check_kept("other", part)):
        with pytest.raises(Stop):
            ask(0)
    ledger.start_part(Budget(calls=2))
    with pytest.raises(Stop):
        ledger.reserve("m", 0)
    ledger.reserve("m", ledger.part)
