"""`make demo`: optimize, export, serve, call, give feedback, retrain, roll back, without a key and without Docker."""

import argparse
import os
import secrets
import sys
import time
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from examples.spec_to_review.demo import learning, project, steps
from examples.spec_to_review.demo.processes import DemoError, stop_all, watch_signals
from examples.spec_to_review.demo.show import Show, table, write_report

HONEST = (
    "The model here is the example's offline model, a program that searches for functions. "
    "Its scores show that the loop works; they say nothing about how good a language model is."
)
NEXT = """
report      {report}
retrain's   {directory}/.t0dspy/retrain/spec_to_review/runs
config      {directory}/configs
data        {directory}/.t0dspy/stack, which ClickHouse holds
logs        {logs}

Try it yourself, in three terminals:

  {bin}/python -m examples.spec_to_review.offline --port {port}
  cd {directory} && {bin}/t0dspy up
  cd {directory} && {bin}/t0dspy run spec_to_review --input @spec.json

Write a specification of your own into spec.json. `make demo DEMO_ARGS=--trials=2` leaves more for retrain to find.
For a real model, change the line `model_name` in {directory}/configs/tensorzero.toml,
remove `api_base` and `api_key_location`, and set OPENAI_API_KEY.
"""


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m examples.spec_to_review.demo", description=__doc__)
    parser.add_argument("--short", action="store_true", help="a few specifications and two trials, to see that it runs")
    parser.add_argument("--trials", type=int, help="of MIPROv2, at most 12; fewer leave more for retrain to find")
    parser.add_argument("--directory", type=Path, default=Path(".t0dspy/demo"), help="default: .t0dspy/demo")
    parser.add_argument("--seed", default=secrets.token_hex(3), help="of the fresh specifications (default: chance)")
    given = parser.parse_args()
    watch_signals()
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"  # everything here is on this machine
    console = Console(stderr=True)
    try:
        with project.locked(given.directory.absolute()):
            return _go(given, Show(console))
    except DemoError as error:
        console.print(f"\nThe demo failed: {error}", markup=False, highlight=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("\nInterrupted.")
        return 130
    finally:
        stop_all()


def _go(given: argparse.Namespace, show: Show) -> int:
    start = time.monotonic()
    show.say(f"[dim]{HONEST}[/dim]")
    size = steps.SHORT if given.short else steps.WHOLE
    size = replace(size, trials=given.trials or size.trials)
    demo = steps.Demo(project.make(given.directory.absolute()), size, given.seed, show)
    with show:
        for step in (
            steps.start_model,
            steps.optimize,
            steps.export,
            steps.serve,
            steps.call_validation,
            steps.call_fresh,
            steps.give_feedback,
            *learning.STEPS,
        ):
            step(demo)
        with show.step("stopping"):
            stop_all()
    seconds, report = time.monotonic() - start, demo.project.directory / "report.json"
    write_report(report, demo.figures, {**demo.facts, "seconds": round(seconds, 1)})
    out = Console(width=None if sys.stdout.isatty() else 100)
    out.print()
    out.print(table(demo.figures, seconds))
    out.print(HONEST, style="dim")
    out.print(_next(demo, report), markup=False, highlight=False, soft_wrap=True)
    return 0


def _next(demo: steps.Demo, report: Path) -> str:
    known = {"directory": demo.project.directory, "logs": demo.project.logs, "report": report}
    return NEXT.format(bin=Path(sys.executable).parent, port=demo.model_address.rpartition(":")[2], **known)


if __name__ == "__main__":
    sys.exit(main())
