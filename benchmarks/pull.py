"""Pulling production's examples: `python -m benchmarks.pull [--rows N] [--memory N]`.

One stack and one run of this script, so that what counts is ratios:

- `t0dspy.pull` to `dspy.Example`s beside reading the same columns, and the feedback, raw through clickhouse-connect;
- the same beside the gateway's own `list_inferences`, by the page, which brings no feedback;
- with `--memory N`, the most memory that `t0dspy pull --out FILE` takes for 10,000 rows and for N.

The rows are written by an insert into the gateway's tables, not through the gateway: 200,000 inferences of about 1 KB,
every second one with a boolean metric, every tenth with a float one as well.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["RUST_LOG"] = "off"

import clickhouse_connect
import dspy

import t0dspy
from benchmarks.up import BASE, GOOD, up
from t0dspy.testing import ScriptedUpstream

PAGE, PAGES, TURNS = 1000, 10, 7
ID = """toUUID(concat(substring(at, 1, 8), '-', substring(at, 9, 4), '-7', substring(r, 1, 3), '-8', substring(r, 4, 3),
    '-', substring(r, 7, 12)))"""
INFERENCES = f"""
INSERT INTO JsonInference (id, function_name, variant_name, episode_id, input, output, output_schema, inference_params,
    processing_time_ms, tags, extra_body, auxiliary_content, snapshot_hash)
WITH
    lower(leftPad(hex({{since:UInt64}} + intDiv(number * {{span:UInt64}}, {{rows:UInt64}})), 12, '0')) AS at,
    lower(hex(MD5(toString(number)))) AS r, {ID} AS one
SELECT one, 'triage', 'v1', one,
    concat('{{"messages":[{{"role":"user","content":[{{"type":"template","name":"user","arguments":{{"ticket":"',
        toString(number), ' ', repeat('lorem ipsum ', 65), '","customer":"c', toString(number % 97), '"}}}}]}}]}}'),
    concat('{{"raw":"{{\\\\"answer\\\\": \\\\"', repeat('fine ', 8), '\\\\", \\\\"urgent\\\\": true}}",',
        '"parsed":{{"answer":"', repeat('fine ', 8), '","urgent":true}}}}'),
    '{{"type":"object"}}', '{{"chat_completion":{{}}}}', 7,
    map('user', concat('u', toString(number % 1000))), '[]', '', 17
FROM numbers({{rows:UInt64}})
"""
FEEDBACK = """
INSERT INTO {table} (id, target_id, metric_name, value)
SELECT generateUUIDv7(), id, '{metric}', {value}
FROM JsonInference WHERE function_name = 'triage' AND cityHash64(id) % {every} = 0
"""


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=textwrap.dedent(__doc__ or ""))
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--memory", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, ScriptedUpstream("fine") as upstream:
        configs = Path(scratch) / "configs"
        configs.mkdir()
        (configs / "tensorzero.toml").write_text((BASE + GOOD).format(url=upstream.url))
        program = dspy.Predict("ticket: str, customer: str -> answer: str, urgent: bool")
        t0dspy.export(program, configs, name="triage", model="m", adapter="json", verify=False)
        with up(configs, Path(scratch) / "data") as running:
            url = f"{running.urls['clickhouse']}/tensorzero"
            client = clickhouse_connect.get_client(dsn=url, autogenerate_session_id=False)
            write(client, args.rows)
            compare(client, url, running.urls["gateway"], configs, args.rows)
            if args.memory:
                few = pull_process(configs, url, 10_000, args.rows)
                write(client, args.memory - args.rows, start=args.rows)
                many = pull_process(configs, url, None, args.memory)
                print(f"| memory at most, 10,000 rows | {few:,.0f} MB |\n| {args.memory:,} rows | {many:,.0f} MB |")
                print(f"| more | {many - few:,.0f} MB (at most 300) |")


def write(client: Any, rows: int, start: int = 0) -> None:
    """Insert inferences over the last 20 days and their feedback."""
    since = int(time.time() * 1000) - (20 - start % 7) * 86_400_000
    for first in range(0, rows, 100_000):
        parameters = {"rows": min(100_000, rows - first), "since": since + first, "span": 86_400_000}
        client.command(INFERENCES, parameters=parameters)
    client.command(FEEDBACK.format(table="BooleanMetricFeedback", metric="good", value="true", every=2))
    client.command(FEEDBACK.format(table="FloatMetricFeedback", metric="score", value="0.5", every=10))


def compare(client: Any, url: str, gateway: str, configs: Path, rows: int) -> None:
    """The ratios of the times on the wall: of a pull, the median of pairs, since raw and pull take turns."""
    pairs = [
        (measured(lambda: read_raw(client)), measured(lambda: read_examples(configs, url, rows))) for _ in range(TURNS)
    ]
    raw, pulled = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = statistics.median(pulled_time / raw_time for raw_time, pulled_time in pairs)
    listed = measured(lambda: read_listed(gateway))
    print("| | rows a second | |\n|---|---|---|")
    print(f"| raw through clickhouse-connect | {rows / raw:,.0f} | |")
    print(f"| `t0dspy.pull` | {rows / pulled:,.0f} | {ratio:.2f}x the time (at most 4x) |")
    faster = (listed / (PAGE * PAGES)) / (pulled / rows)
    print(f"| `list_inferences` | {PAGE * PAGES / listed:,.0f} | pull is {faster:.0f}x faster (at least 12x) |")


def measured(action: Callable[[], object]) -> float:
    """Seconds on the wall."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def read_raw(client: Any) -> None:
    """The columns of a pull, and the feedback, as plain rows."""
    columns = "toString(id), toString(episode_id), variant_name, input, output, tags, toString(snapshot_hash)"
    read = 0
    with client.query_rows_stream(f"SELECT {columns} FROM JsonInference WHERE function_name = 'triage'") as rows:
        read += sum(1 for _ in rows)
    for table in ("BooleanMetricFeedback", "FloatMetricFeedback"):
        with client.query_rows_stream(f"SELECT toString(target_id), metric_name, value FROM {table}") as rows:
            read += sum(1 for _ in rows)
    assert read


def read_examples(configs: Path, url: str, rows: int) -> None:
    found = t0dspy.pull("triage", "30d", configs=configs, clickhouse_url=url)
    assert sum(1 for _ in found) == rows, found.summary


def read_listed(gateway: str) -> None:
    from tensorzero import ListInferencesRequest, TensorZeroGateway

    with TensorZeroGateway.build_http(gateway_url=gateway) as client:
        last: Any = None
        for _ in range(PAGES):
            request = ListInferencesRequest(function_name="triage", limit=PAGE, before=last, output_source="inference")
            page = client.list_inferences(request=request).inferences
            assert len(page) == PAGE
            last = page[-1].inference_id


def pull_process(configs: Path, url: str, limit: int | None, rows: int) -> float:
    """The most memory of `t0dspy pull --out FILE`, in MB."""
    said = "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    code = f"from t0dspy.cli import main\ntry: main()\nfinally: {said}"
    out = configs.parent / "pulled.jsonl"
    command = [sys.executable, "-c", code, "pull", "triage", f"--configs={configs}", f"--clickhouse-url={url}"]
    command += [f"--out={out}", "--json", *([f"--limit={limit}"] if limit else [])]
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - started
    summary = json.loads(done.stderr)
    assert summary["examples"] == (limit or rows), summary
    print(
        f"\n{summary['examples']:,} rows to a file in {seconds:.1f} s, {out.stat().st_size / 1e6:,.0f} MB", flush=True
    )
    return int(done.stdout) / 1024


if __name__ == "__main__":
    main()
