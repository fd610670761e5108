"""The steps after the feedback: retrain, call again, roll back."""

import json
import time
from collections import Counter
from collections.abc import Callable, Sequence

from examples.spec_to_review.demo import clients
from examples.spec_to_review.demo.clients import NAME
from examples.spec_to_review.demo.processes import DemoError, t0dspy
from examples.spec_to_review.demo.show import Figure
from examples.spec_to_review.demo.steps import Demo, measure
from examples.spec_to_review.specs import generate

INCUMBENT = "v1"


def retrain(demo: Demo) -> None:
    """Learn from the feedback; a better version, or the incumbent and why."""
    before, start = demo.calls(), time.monotonic()
    budget = ["--window=30d", f"--max-calls={demo.size.calls}", "--threads=4", "--traffic=0.2", "--apply", "--json"]
    with demo.show.step(f"t0dspy retrain {NAME} --window 30d --max-calls {demo.size.calls}"):
        [said] = json.loads(demo.command("retrain", *t0dspy("retrain", NAME, *budget)))
    seconds = round(time.monotonic() - start, 1)
    demo.version = said["version"] if said["outcome"] == "promoted" else None
    demo.figures.append(Figure(f"retrain: {said['outcome']}", 0, None, None, demo.calls() - before, seconds))
    demo.facts["retrain"] = {name: said.get(name) for name in ("outcome", "reason", "version", "directory")}
    outcome = f"{demo.version}, with a canary's share" if demo.version else f"the incumbent {INCUMBENT} stays"
    demo.show.note(f"{outcome}: {said['reason']}")


def call_again(demo: Demo) -> None:
    """The new version on the validation set, and both as the shares say; or the incumbent once more."""
    if demo.version:
        pinned = clients.with_tensorzero(demo.urls["gateway"], demo.version)
        measure(demo, f"retrained {demo.version}, served", pinned, demo.rows("validation", demo.size.validation))
    _call_fresh(demo, "again")


def roll_back(demo: Demo) -> None:
    """The new version takes over (the unoptimized one, where the incumbent was kept), and is taken back."""
    if demo.version:
        with demo.show.step(f"t0dspy traffic {NAME} {demo.version}=1 --apply"):
            demo.command("traffic", *t0dspy("traffic", NAME, f"{demo.version}=1", "--apply"))
    else:
        with demo.show.step("a mistake: the program is exported without what the optimizer found, for all traffic"):
            settings = demo.project.directory / "t0dspy.toml"
            text = settings.read_text(encoding="utf-8")
            settings.write_text(text.replace('state = "optimized.json"\n', ""), encoding="utf-8")
            try:
                demo.command("export", *t0dspy("export", NAME, "--traffic=1", "--apply", "--no-verify"))
            finally:
                settings.write_text(text, encoding="utf-8")
    _call_fresh(demo, "before the rollback", unlike=INCUMBENT)
    start = time.monotonic()
    with demo.show.step(f"t0dspy rollback {NAME}"):
        demo.command("rollback", *t0dspy("rollback", NAME))
    demo.facts["rollback seconds"] = round(time.monotonic() - start, 1)
    _call_fresh(demo, "after the rollback", like=INCUMBENT)


def _call_fresh(demo: Demo, when: str, *, like: str | None = None, unlike: str | None = None) -> None:
    rows = generate(f"{demo.seed} {when}", max(3, demo.size.fresh // 3))
    _, answers = measure(demo, f"fresh, {when}", clients.with_tensorzero(demo.urls["gateway"]), rows)
    variants = Counter(one.variant for one in answers)
    demo.show.note("answered by " + ", ".join(f"{name} ({count})" for name, count in sorted(variants.items())))
    if (like and set(variants) != {like}) or (unlike and unlike in variants):
        raise DemoError(f"{when}, {dict(variants)} answered; that is not what the shares say.")


STEPS: Sequence[Callable[[Demo], None]] = (retrain, call_again, roll_back)
