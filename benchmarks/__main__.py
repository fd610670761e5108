"""Run every benchmark and print one Markdown table; exit with 1 if a target is missed."""

import os
import platform
import sys

from benchmarks import compiling, curate, starting, verifying


def main() -> None:
    rows = [row for benchmark in (starting, compiling, verifying, curate) for row in benchmark.measure()]
    print(f"{platform.system()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    print("| what | measured | target | |\n|---|---|---|---|")
    for row in rows:
        print(f"| {row.what} | {row.figure} | {row.target} | {'met' if row.met else 'MISSED'} |")
    sys.exit(not all(row.met for row in rows))


main()
