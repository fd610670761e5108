"""What the TensorZero gateway needs, asked by the gateway itself."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.clickhouse import Server

CONFIG = """
[gateway]
observability.enabled = true
observability.async_writes = false

[models.scripted]
routing = ["upstream"]

[models.scripted.providers.upstream]
type = "openai"
model_name = "scripted"
api_base = "{api_base}"
api_key_location = "none"

[metrics.good]
type = "boolean"
level = "inference"
optimize = "max"

[functions.greet]
type = "chat"

[functions.greet.variants.plain]
type = "chat_completion"
model = "scripted"
"""

USE = """
import json, sys, time
from tensorzero import TensorZeroGateway
gateway = TensorZeroGateway.build_embedded(config_file=sys.argv[1], clickhouse_url=sys.argv[2])
ids = []
for text in ("hi", "'; DROP TABLE ChatInference; -- \\\\ \\n \\t \\u2603"):
    answer = gateway.inference(function_name="greet", input={"messages": [{"role": "user", "content": text}]})
    gateway.feedback(metric_name="good", value=True, inference_id=answer.inference_id)
    gateway.feedback(metric_name="comment", value=text, inference_id=answer.inference_id)
    ids.append(str(answer.inference_id))
time.sleep(0.3)  # the gateway stores feedback after it has answered
print(json.dumps(ids))
"""


def _use(config: Path, url: str) -> tuple[list[str], float]:
    """Ids of two inferences with feedback, by a gateway in a process of its own, and how long it lived."""
    began = time.monotonic()
    environment = {**os.environ, "RUST_LOG": "off"}
    done = subprocess.run(
        [sys.executable, "-c", USE, str(config), url],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    ids: list[str] = json.loads(done.stdout)
    return ids, time.monotonic() - began


def test_migrations_inferences_and_feedback(tmp_path: Path) -> None:
    """From empty and from an existing directory, the gateway migrates, stores and finds; a restart loses nothing."""
    from t0dspy.testing import ScriptedUpstream

    config, stored = tmp_path / "tensorzero.toml", set()
    with ScriptedUpstream("hello") as upstream:
        config.write_text(CONFIG.format(api_base=upstream.url))
        for _ in range(2):
            with Server(tmp_path / "data") as server:
                ids, _ = _use(config, f"{server.url}/tensorzero")
                stored |= set(ids)
                for table, column in (
                    ("ChatInference", "id"),
                    ("BooleanMetricFeedback", "target_id"),
                    ("CommentFeedback", "target_id"),
                ):
                    assert set(server.run(f"SELECT {column} FROM tensorzero.{table}").split()) == stored
                assert int(server.run("SELECT count() FROM tensorzero.TensorZeroMigration")) > 40


def test_migrations_as_a_user(tmp_path: Path) -> None:
    """The gateway's URL may hold user and password."""
    with Server(tmp_path / "data", user="chuser", password_env="P", environment={"P": "s3cret"}) as server:
        from t0dspy.testing import ScriptedUpstream

        config = tmp_path / "tensorzero.toml"
        with ScriptedUpstream("hello") as upstream:
            config.write_text(CONFIG.format(api_base=upstream.url))
            ids, _ = _use(config, server.url.replace("//", "//chuser:s3cret@") + "/tensorzero")
        assert len(ids) == 2


@pytest.mark.parametrize("name", ["tensorzero", "other_name"])
def test_database_that_is_not_there_yet(tmp_path: Path, name: str) -> None:
    """Before its first migration the gateway must be told that the database is unknown."""
    with Server(tmp_path) as server:
        answer = server.post("SELECT 1 FROM TensorZeroMigration", database=name)
        assert (answer.status_code, "UNKNOWN_DATABASE" in answer.text) == (404, True)
