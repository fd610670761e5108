"""`make chaos`: faults at size, on the real stack, with every acknowledged row counted.

Kills of parts under load, a full disk, few file descriptors, silent streams and hanging statements, kills of commands,
concurrent runs, and faults of ClickHouse alone while it writes its log. Prints one table. The exit code is 5
if a count is wrong.

    make chaos CHAOS_ARGS="--rounds 0.1 --only kills disk"
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from chaos.accounts import Row, table
from chaos.commands import kill_commands
from chaos.shortages import few_files, full_disk
from chaos.stacks import Ground
from chaos.stops import concurrent_runs, kill_parts, stop_while_hanging
from chaos.write_log import log_bytes, log_disk, log_files, log_kills

GATE = 5
SCENARIOS: dict[str, tuple[int, Callable[[Ground, int], Iterable[Row]]]] = {
    "kills": (48, kill_parts),
    "disk": (3, full_disk),
    "files": (2, few_files),
    "stops": (4, stop_while_hanging),
    "commands": (90, kill_commands),
    "runs": (600, concurrent_runs),
    "log-kills": (200, log_kills),
    "log-disk": (10, log_disk),
    "log-files": (10, log_files),
    "log-bytes": (10, log_bytes),
}
"""Name -> how many rounds, and what does them."""


def main() -> int:
    """Run the scenarios; returns the exit code."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--rounds", type=float, default=1.0, help="times the usual number of rounds (default: 1)")
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, default=list(SCENARIOS), help="these scenarios only")
    options = parser.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="chaos-") as scratch, Ground(Path(scratch)) as ground:
        for name in options.only:
            count, scenario = SCENARIOS[name]
            rounds, began = max(1, round(count * options.rounds)), time.monotonic()
            print(f"{name}: {rounds} rounds", file=sys.stderr, flush=True)
            found = list(scenario(ground, rounds))
            rows += found
            print(f"{name}: {time.monotonic() - began:.0f} s\n{table(found)}", file=sys.stderr, flush=True)
    print(table(rows))
    return 0 if all(row.is_right for row in rows) else GATE


if __name__ == "__main__":
    sys.exit(main())
