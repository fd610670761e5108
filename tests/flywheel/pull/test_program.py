"""Programs change; what was said under an earlier contract comes along where it certainly fits."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from support.production import Production, by_id
from support.served import APPS, export
from t0dspy.errors import BundleError


@pytest.fixture
def configs(production: Production, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The configs as the next engineer has them, who exports once more; the gateway still serves the old ones."""
    monkeypatch.syspath_prepend(str(APPS))
    return Path(shutil.copytree(production.configs, tmp_path / "configs"))


def test_stages_of_an_earlier_contract(production: Production, configs: Path) -> None:
    """A stage that fits its predictor's new contract stays an example of it; one that does not is counted."""
    production.infer("tales", topic="cats")
    signature = "topic: str -> text: str"
    assert export(configs, "later:changed", name="tales", signature=signature) == "v3"
    assert "tales__plan_2" in json.loads((configs / "programs/tales/manifest.json").read_text())["functions"]
    (found,), summary = production.pull("tales", configs)
    assert [(one.predictor, one.inputs) for one in found.stages] == [("plan", {"topic": "cats"})]
    assert summary.drops == {"stage_misfit": 1}


def test_stages_of_predictors_that_are_gone(production: Production, configs: Path) -> None:
    """And of those whose answers are none today."""
    production.infer("tales", topic="cats")
    export(configs, "later:renamed", name="tales", signature="topic: str -> text: str")
    (found,), summary = production.pull("tales", configs)
    assert (found.inputs, found.stages) == ({"topic": "cats"}, [])
    assert summary.drops == {"stage_gone": 1, "stage_misfit": 1}


@pytest.mark.parametrize(
    ("signature", "fits"),
    [
        ("topic: Optional[str] -> text: str", True),
        ("topic: int -> text: str", False),
        ("topic: str -> text: str, nonsense: int", False),
        ("topic: str -> text: Literal['a', 'b']", False),
    ],
)
def test_programs_of_an_earlier_contract(production: Production, configs: Path, signature: str, fits: bool) -> None:
    """NAME_2 learns from what NAME was asked where inputs and outputs fit both, and says where it comes from."""
    said = production.infer("naughty", topic="cats")
    production.say(said, "good", True)
    version = export(configs, "stories:naughty", signature=signature, breaking=True, stage_timeout=3, run_timeout=6)
    assert version == "v1"
    found, summary = production.pull("naughty_2", configs)
    if fits:
        (one,) = found
        assert (one.variant, one.metrics) == ("naughty/v1", {"good": True})
        assert [stage.predictor for stage in one.stages] == ["plan", "write"]
    else:
        assert found == []
        assert summary.drops["misfit"] == 1
    assert production.pull("naughty_2", configs, versions=["v1"])[0] == []
    assert list(by_id(production.pull("naughty", configs)[0])) == [str(said.inference_id)]


def test_only_programs_of_the_same_code_are_earlier_ones(production: Production, configs: Path) -> None:
    """A name that ends in a number proves nothing."""
    production.infer("tales", topic="cats")
    export(configs, "later:changed", name="tales_2", signature="topic: str -> text: str")
    found, summary = production.pull("tales_2", configs)
    assert (found, summary.rows_read) == ([], 0)


def test_a_limit_takes_from_both(production: Production, configs: Path) -> None:
    for number in range(4):
        production.infer("naughty", topic=f"cats {number}")
    options: dict[str, Any] = {"breaking": True, "stage_timeout": 3, "run_timeout": 6}
    export(configs, "stories:naughty", signature="topic: Optional[str] -> text: str", **options)
    found, summary = production.pull("naughty_2", configs, limit=2)
    assert [one.inputs["topic"] for one in found] == ["cats 1", "cats 3"]
    assert summary.examples == 2


def test_rows_that_are_none_of_the_contract(production: Production, configs: Path) -> None:
    """Another program had the name once: what does not fit is counted, not raised."""
    production.infer("question", question="who?")
    schema = configs / "programs/question/schemas/question.input.json"
    changed = json.loads(schema.read_text())
    changed["properties"]["question"] = {"type": "integer"}
    schema.write_text(json.dumps(changed))
    found, summary = production.pull("question", configs)
    assert (found, summary.drops) == ([], {"misfit": 1})


def test_programs_without_a_function(production: Production, configs: Path) -> None:
    """Never exported, or with its stages only: one message, that says what there is to do."""
    with pytest.raises(BundleError, match=r"no exported program 'tale' in .*: there are asker, library, naughty"):
        production.pull("tale")
    export(configs, "stories:both", stages_only=True)
    with pytest.raises(BundleError, match="Export it again without --stages-only"):
        production.pull("both", configs)
