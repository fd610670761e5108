"""Render the report of a retrain: values for programs, and a web page that needs no network and no scripts."""

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.resources import files
from typing import Any

from t0dspy.flywheel.promotion.account import describe
from t0dspy.flywheel.retrain.charts import difference_bars, trial_chart
from t0dspy.flywheel.retrain.results import Retrained


def as_json(result: Retrained) -> dict[str, Any]:
    """Return the result of a retrain as plain values."""
    gathered, optimized, judgement, made = result.gathered, result.optimized, result.judgement, result.export
    return {
        "name": result.name,
        "outcome": result.outcome,
        "reason": result.reason,
        "version": result.version,
        "incumbent": result.incumbent,
        "form": asdict(result.form),
        "window": list(result.window),
        "run": result.run,
        "resumed": result.resumed,
        "seconds": round(result.seconds, 3),
        "metric": result.metric,
        "models": dict(result.models),
        "data": {
            "pulled": gathered.pulled,
            "feedback": gathered.feedback,
            "train": len(gathered.train),
            "validation": len(gathered.validation),
            "holdout": len(gathered.holdout),
            "origin": dict(gathered.origin),
            "dropped": dict(gathered.dropped),
            "changed": dict(gathered.changed),
        },
        "agreement": asdict(result.agreement) if result.agreement else None,
        "expected": {**asdict(result.expected), "calls": result.expected.calls} if result.expected else None,
        "spent": asdict(result.spent),
        "optimized": _optimized(result) if optimized else None,
        "judgement": asdict(judgement) if judgement else None,
        "holdout_account": asdict(result.account) if result.account else None,
        "pairs": [list(pair) for pair in result.pairs],
        "prompts": {
            path: {"before": before, "after": after} for path, (before, after) in _plain(result.prompts).items()
        },
        "demos": _demos(result),
        "shares": dict(made.shares) if made else None,
        "review": result.review or None,
        "notes": list(result.notes),
    }


def as_html(report: Mapping[str, Any]) -> str:
    """Return the report as a self-contained page."""
    import jinja2

    source = files("t0dspy.flywheel.retrain").joinpath("report.html.jinja").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["thousands"] = lambda number: f"{number:,}"
    template = environment.from_string(source)
    optimized = report["optimized"]
    return template.render(
        report=report,
        account=describe(report["holdout_account"]) if report.get("holdout_account") else "",
        trials=trial_chart(optimized["trials"]) if optimized else None,
        bars=difference_bars(report["pairs"]),
        diffs={path: prompt_diff(prompts["before"], prompts["after"]) for path, prompts in report["prompts"].items()},
    )


def prompt_diff(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the difference of two prompts as lines: (`add`, `cut`, `same` or `skip`, text)."""
    kinds = {"+": "add", "-": "cut", " ": "same", "@": "skip"}
    lines = difflib.unified_diff(_lines(before), _lines(after), lineterm="", n=2)
    return [(kinds[line[0]], line[1:] if line[0] != "@" else "") for line in list(lines)[2:]]


def _lines(prompt: Mapping[str, Any]) -> list[str]:
    lines = [*str(prompt["instructions"]).split("\n"), ""]
    for number, demo in enumerate(prompt["demos"], 1):
        lines.append(f"demo {number}")
        for name, value in demo.items():
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            lines += [f"  {name}: {line}" for line in text.split("\n")] if name != "augmented" else []
    return lines


def _optimized(result: Retrained) -> dict[str, Any] | None:
    optimized = result.optimized
    if optimized is None:
        return None
    return {
        "incumbent_score": optimized.incumbent_score,
        "score": optimized.score,
        "better": optimized.better,
        "ended": optimized.ended,
        "refused": dict(optimized.refused),
        "trials": [asdict(trial) for trial in optimized.trials],
    }


def _demos(result: Retrained) -> list[dict[str, Any]]:
    """Return every new demo with its fields as they are in the prompt, and its origin."""
    prompts = _plain(result.prompts)
    shown = [(demo, prompts[demo.predictor][1]["demos"][demo.number - 1]) for demo in result.demos]
    return [
        {**asdict(demo), "fields": {name: value for name, value in fields.items() if name != "augmented"}}
        for demo, fields in shown
    ]


def _plain(prompts: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, tuple[Any, Any]]:
    """Return prompts as JSON values; values of demos that JSON cannot represent become text."""
    from dspy.adapters.utils import serialize_for_json

    def plain(value: Any) -> Any:
        return json.loads(json.dumps(serialize_for_json(value), default=str))

    return {path: (plain(before), plain(after)) for path, (before, after) in prompts.items()}
