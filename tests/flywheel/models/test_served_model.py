"""The model that serves is the one to optimize with, unless a setting names another; then a note says so."""

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.looped import Project
from t0dspy import scaffold
from t0dspy.errors import MetricError, SettingsError
from t0dspy.flywheel.models.served_model import ServedModel, is_served_by, served_model
from t0dspy.testing import ScriptedUpstream

CONFIG = """
[models.main]
routing = ["first", "second"]
[models.main.providers.second]
type = "anthropic"
model_name = "claude-x"
[models.main.providers.first]
type = "openai"
model_name = "gpt-x"
api_base = "http://gpu:8000/v1/"
api_key_location = "env::MY_KEY"

[models.local]
routing = ["p"]
[models.local.providers.p]
type = "vllm"
model_name = "llama"
api_base = "http://gpu/v1/"
api_key_location = "none"

[models.cloud]
routing = ["p"]
[models.cloud.providers.p]
type = "aws_bedrock"
model_id = "x"

[models.odd]
routing = "p"
providers = 3
"""


@pytest.mark.parametrize(
    ("name", "models", "setting", "key"),
    [
        ("main", ("gpt-x", "claude-x"), {"model": "openai/gpt-x", "api_base": "http://gpu:8000/v1/"}, "secret"),
        ("local", ("llama",), {"model": "openai/llama", "api_base": "http://gpu/v1/"}, "none"),
        ("openai::gpt-4o-mini", ("gpt-4o-mini",), {"model": "openai/gpt-4o-mini"}, None),
        ("google_ai_studio_gemini::g", ("g",), {"model": "gemini/g"}, "studio"),
        ("aws_bedrock::x", ("x",), None, None),
        ("cloud", ("cloud",), None, None),
        ("odd", (), None, None),
        ("nowhere", (), None, None),
    ],
)
def test_what_a_model_of_the_gateway_calls(
    tmp_path: Path, name: str, models: tuple[str, ...], setting: Any, key: str | None
) -> None:
    """The first provider of the routing, with its address and key; a type that needs more than a name has none."""
    (tmp_path / "tensorzero.toml").write_text(CONFIG)
    environment = {"MY_KEY": "secret", "GOOGLE_AI_STUDIO_API_KEY": "studio"}
    found = served_model(tmp_path, name, environment)
    assert (found.models, found.setting, found.key) == (models, setting, key)
    assert "secret" not in repr(found)


def test_which_model_is_the_served_one() -> None:
    """Names are compared without DSPy's prefix; of a model about which nothing is known nothing is claimed."""
    main = ServedModel("main", ("gpt-x", "claude-x"))
    assert is_served_by([main], "openai/gpt-x")
    assert is_served_by([main], "claude-x")
    assert not is_served_by([main], "openai/gpt-y")
    assert not is_served_by([main, ServedModel("b", ("other",))], "openai/gpt-x")
    assert is_served_by([ServedModel("unknown", ())], "openai/gpt-y")


def test_another_task_model_is_named(shop: Project) -> None:
    """What is measured with one model may not hold for the one that serves."""
    assert not any("task model" in note for note in shop.retrain(dry_run=True).notes)
    settings = shop.directory / "t0dspy.toml"
    text = settings.read_text().replace('model = "openai/scripted"', 'model = "openai/cheap"', 1)
    settings.write_text(text)
    (note,) = (one for one in shop.retrain(dry_run=True).notes if "task model" in one)
    assert note.startswith(
        "the task model is openai/cheap, and v1 is served by m (scripted): the promotion test measures"
    )
    settings.write_text(text + 'judge_model = "openai/scripted"\n')
    (note,) = (one for one in shop.retrain(dry_run=True).notes if "task model" in one)
    assert note.endswith("the promotion test measures with openai/scripted.")


STUB = re.compile(r"^    raise NotImplementedError\(.*$", re.MULTILINE)


@pytest.fixture
def stub(shop: Project, task: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A project whose settings and metric are those that `t0dspy init` writes, with the lines filled in that say so."""
    settings, config = shop.directory / "t0dspy.toml", shop.configs / "tensorzero.toml"
    settings.unlink()
    config.write_text(re.sub(r'api_base = ".*"', f'api_base = "{task.url}"', config.read_text()))
    scaffold.write(scaffold.plan(shop.directory))
    text = settings.read_text()
    for line, filled in (
        ("[programs.my_program]", "[programs.shout]"),
        ('program = "app.program:program"', 'program = "shouting:shout"'),
        ('state = "optimized.json"', "min_holdout = 10"),
        ('model = "main"', 'model = "m"'),
    ):
        assert text.count(line) == 1
        text = text.replace(line, filled)
    settings.write_text(text)
    monkeypatch.syspath_prepend(str(shop.directory))
    sys.modules.pop("metric", None)
    importlib.invalidate_caches()
    yield shop
    sys.modules.pop("metric", None)


@pytest.mark.parametrize(
    ("line", "gold"),
    [
        ("    return float(prediction.answer == example.answer)", "required"),
        ("    return float(prediction.answer.isupper())", "none"),
    ],
)
def test_following_the_stub_works(stub: Project, line: str, gold: str) -> None:
    """The way that compares, as the settings stand; one that judges by itself, with the line that the stub names."""
    metric, settings = stub.directory / "metric.py", stub.directory / "t0dspy.toml"
    if gold == "required":
        assert f"`{line.strip()}`" in metric.read_text()
    else:
        assert 'gold = "none"' in metric.read_text()
        settings.write_text(settings.read_text().replace('gold = "required"', 'gold = "none"'))
    metric.write_text(STUB.sub(line, metric.read_text()))
    found = stub.retrain()
    assert found.outcome == "promoted", found.reason
    assert found.models["task"] == "openai/scripted"
    assert not any("task model" in note for note in found.notes)


def test_a_stub_that_nobody_filled_in(stub: Project) -> None:
    """The message is the stub's own, without advice that does not apply."""
    with pytest.raises(MetricError, match=r"metric\.py is a stub") as why:
        stub.retrain()
    assert "set gold" not in str(why.value)


def test_a_task_model_that_nobody_knows(stub: Project) -> None:
    """A served model that DSPy cannot name needs the setting, and the error says so."""
    config = stub.configs / "tensorzero.toml"
    config.write_text(config.read_text().replace('type = "openai"', 'type = "aws_bedrock"', 1))
    with pytest.raises(SettingsError, match=r"lacks `task_model`.* v1 .m."):
        stub.retrain(dry_run=True)
