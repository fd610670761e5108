"""The report shows prompts, demos and scores, and executes none of their text."""

import json
import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from t0dspy.flywheel.retrain.charts import difference_bars, trial_chart
from t0dspy.flywheel.retrain.report import as_html, prompt_diff

REPORT: dict[str, Any] = {
    "name": "<script>alert(1)</script>",
    "outcome": "kept",
    "reason": "no <b>better</b>",
    "version": None,
    "incumbent": "v1",
    "form": {"adapter": "chat", "demos": "turns"},
    "window": ["2026-01-01", "2026-01-02"],
    "run": "r",
    "resumed": True,
    "seconds": 1.0,
    "metric": "m",
    "models": {"task": "openai/x"},
    "data": {"pulled": 1, "feedback": 1, "train": 1, "validation": 1, "holdout": 1, "origin": {"a": 1}, "dropped": {}},
    "agreement": None,
    "spent": {"calls": 1, "cost": None, "by_model": {"openai/x": 1}, "input_tokens": 1, "output_tokens": 1},
    "optimized": None,
    "judgement": None,
    "pairs": [],
    "prompts": {
        "self": {
            "before": {"instructions": "{{ 7 * 7 }}", "demos": []},
            "after": {"instructions": "</pre>", "demos": []},
        }
    },
    "shares": None,
    "notes": ["{% raw %}"],
}


def test_the_page_shows_users_text_as_text() -> None:
    """No prompt, name or note is markup or a template."""
    page = as_html(REPORT)
    assert "<script" not in page
    assert "{{ 7 * 7 }}" in page
    assert "49" not in page.partition("<body>")[2]
    assert "&lt;/pre&gt;" in page
    assert not re.search(r"https?://", page)


def test_a_diff_of_prompts_tells_what_changed() -> None:
    """Instructions line by line, demos field by field."""
    before = {"instructions": "a\nb", "demos": [{"q": "1", "a": "2"}]}
    after = {"instructions": "a\nc", "demos": [{"q": "1", "a": [3]}]}
    lines = prompt_diff(before, after)
    assert ("cut", "b") in lines
    assert ("add", "c") in lines
    assert ("add", "  a: [3]") in lines
    assert prompt_diff(before, before) == []


@given(st.lists(st.tuples(st.floats(-2, 2), st.booleans()), min_size=1, max_size=30))
def test_charts_stay_within_their_frame(scores: list[tuple[float, bool]]) -> None:
    """Whatever the scores, negative ones too."""
    trials = [
        {"score": score, "full": full or at == 0, "runs": 3, "calls": at} for at, (score, full) in enumerate(scores)
    ]
    chart = trial_chart(trials)
    assert all(0 <= dot.x <= 640 and 0 <= dot.y <= 200 for dot in chart.dots)
    assert 0 <= chart.incumbent <= 200
    bars = difference_bars([(score, score + 1 if better else score) for score, better in scores])
    assert bars is not None
    assert bars.most <= len(scores)
    assert json.dumps([list(bar) for bar in bars.bars])
