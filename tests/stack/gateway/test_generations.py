"""A clock that was ahead, or a database that is away, does not keep a config from being served."""

import os
import signal
from collections.abc import Callable

from support.stack import Stack, wait_until, write_config
from t0dspy.stack.processes.data_dir import find_running

MakeStack = Callable[..., Stack]


def test_a_config_row_from_the_future(make_stack: MakeStack) -> None:
    """The stack starts and reloads, `/status` shows the config that is served, and a line says what is odd."""
    stack = make_stack().start()
    stack.rows(
        "INSERT INTO ConfigSnapshot SELECT * REPLACE(now64(6) + INTERVAL 3 DAY AS last_used) FROM ConfigSnapshot FINAL"
    )
    stack.rows(
        "INSERT INTO ConfigSnapshot SELECT * REPLACE(now64(6) + INTERVAL 9 DAY AS last_used, toUInt256(7) AS hash) "
        "FROM ConfigSnapshot FINAL LIMIT 1"
    )
    first = stack.status()["config_hash"]
    assert stack.stop() == 0
    stack.start()
    assert stack.status()["config_hash"] == first
    assert "ClickHouse holds a config row from the future (" in stack.said()
    write_config(stack.configs, "Other instructions.")
    stack.process.send_signal(signal.SIGHUP)
    wait_until(lambda: stack.status()["config_hash"] != first)
    assert stack.status()["config_hash"] != "7"
    id = stack.infer().json()["inference_id"]
    told = stack.rows(f"SELECT toString(snapshot_hash) FROM JsonInference WHERE id = '{id}'")
    assert told == [[stack.status()["config_hash"]]]


def test_a_reload_without_a_database_refuses_nothing(make_stack: MakeStack) -> None:
    """The gateway keeps its config, and does not blame the new one for a ClickHouse that does not answer."""
    stack = make_stack().start()
    before, pids = stack.status()["config_hash"], stack.pids()
    write_config(stack.configs, "Other instructions.")
    stack.rows("RENAME TABLE ConfigSnapshot TO Gone")
    stack.process.send_signal(signal.SIGHUP)
    said = stack.wait_said("The gateway keeps serving the old config, because it could not reload: ")
    assert "refuses the config" not in said
    running = find_running(stack.data_dir)
    assert running is not None
    assert running.load is not None
    assert (running.load.refusal, running.load.config_hash) == ("", None)
    assert running.load.failure.startswith("the gateway could not load it: ")
    stack.rows("RENAME TABLE Gone TO ConfigSnapshot")
    os.kill(stack.process.pid, signal.SIGHUP)
    wait_until(lambda: stack.status()["config_hash"] != before)
    assert stack.pids() == pids
