"""The report of a retrain: values for programs, and one page for people, which needs no network and no scripts."""

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
    """The whole of a retrain as plain values."""
    gathered, found, judgement, made = result.gathered, result.optimized, result.judgement, result.export
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
        "optimized": _optimized(result) if found else None,
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
    """The report as a page that stands by itself."""
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
        diffs={path: prompt_diff(one["before"], one["after"]) for path, one in report["prompts"].items()},
    )


def prompt_diff(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Two prompts as lines of a diff: (`add`, `cut`, `same` or `skip`, text)."""
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
    found = result.optimized
    if found is None:
        return None
    return {
        "incumbent_score": found.incumbent_score,
        "score": found.score,
        "better": found.better,
        "ended": found.ended,
        "refused": dict(found.refused),
        "trials": [asdict(trial) for trial in found.trials],
    }


def _demos(result: Retrained) -> list[dict[str, Any]]:
    """Every new demo: its fields as they stand in the prompt, and where it came from."""
    prompts = _plain(result.prompts)
    shown = [(one, prompts[one.predictor][1]["demos"][one.number - 1]) for one in result.demos]
    return [
        {**asdict(one), "fields": {name: value for name, value in fields.items() if name != "augmented"}}
        for one, fields in shown
    ]


def _plain(prompts: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, tuple[Any, Any]]:
    """Demos hold values of any type; JSON keeps what it can and says the rest as text."""
    from dspy.adapters.utils import serialize_for_json

    def plain(value: Any) -> Any:
        return json.loads(json.dumps(serialize_for_json(value), default=str))

    return {path: (plain(before), plain(after)) for path, (before, after) in prompts.items()}
