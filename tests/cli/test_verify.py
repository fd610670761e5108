"""`t0dspy verify`, flag by flag."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

EXPORT = ("export", "review:program", "--name", "review", "--model", "openai::gpt-4o-mini", "--no-verify", "--quiet")


@pytest.fixture
def exported(shop: Path, run: Callable[..., Any]) -> Path:
    """The project with v1 of `review` exported; its tree."""
    assert run(*EXPORT).code == 0
    return shop / "configs/programs/review"


@pytest.mark.usefixtures("exported")
def test_equal(run: Callable[..., Any]) -> None:
    """An untouched version is proved; --json has the counts; --quiet is silent."""
    ran = run("verify", "review", "--inputs", "5")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("review v1: the gateway sends what DSPy sends\n")
    report = json.loads(run("verify", "review", "--inputs", "5", "--json").out)
    assert report["equal"] is True
    assert report["predictors"][0]["mismatches"] == []
    assert run("verify", "review", "--inputs", "5", "--quiet") == (0, "", "")


def test_an_edited_template_is_a_mismatch(exported: Path, run: Callable[..., Any], tool: Callable[..., Any]) -> None:
    """Exit 4, and both texts as a diff, whatever the terminal can show."""
    template = exported / "v1/system.minijinja"
    template.write_text(template.read_text().replace("Judge", "Jüdge ☃"))
    ran = run("verify", "review", "--inputs", "2")
    assert (ran.code, ran.out) == (4, "")
    assert "--- DSPy directly" in ran.err
    assert "+++ through the gateway" in ran.err
    assert "Jüdge ☃" in ran.err
    ran = tool("verify", "review", "--inputs", "2", "--json", PYTHONIOENCODING="ascii")
    assert ran.code == 4
    assert "J\\xfcdge \\u2603" in ran.err
    report = json.loads(ran.out)
    assert report["equal"] is False
    assert "Jüdge ☃" in report["predictors"][0]["mismatches"][0]["detail"]


def test_a_merge_conflict(exported: Path, run: Callable[..., Any]) -> None:
    """A generated file that is no TOML any more is said by name, and is no bug."""
    variant = exported / "v1/variant.toml"
    variant.write_text(f"<<<<<<< HEAD\n{variant.read_text()}")
    ran = run("verify", "review", "--inputs", "2")
    assert (ran.code, ran.out) == (1, "")
    assert "v1/variant.toml: not valid TOML: " in ran.err
    assert "export the program anew" in ran.err


@pytest.mark.usefixtures("exported")
def test_examples(run: Callable[..., Any]) -> None:
    """Inputs of the user's are compared too, of any type, from flat objects and from lines of `pull`."""
    pulled = {"inputs": {"text": "pulled"}, "outputs": {"stars": 3}, "stages": [{"inputs": {"text": "of a stage"}}]}
    lines = [{"text": "flat", "stars": 3}, pulled, {"text": 5}, {"other": "x"}]
    Path("examples.jsonl").write_text("\n\n".join(map(json.dumps, lines)) + "\n")
    plain = json.loads(run("verify", "review", "--inputs", "1", "--json").out)
    report = json.loads(run("verify", "review", "--inputs", "1", "--json", "--examples", "examples.jsonl").out)
    assert report["requests"] >= plain["requests"] + 4
    assert report["predictors"][0]["skipped"] == {"example: it has no field 'text'": 1}
    assert "skipped" in run("verify", "review", "--inputs", "1", "--examples", "examples.jsonl").out


SPOILED = {
    "not json": ("{'text': 1}", "examples.jsonl, line 2: not JSON"),
    "nested without end": ("[" * 100_000, "examples.jsonl, line 2: not JSON"),
    "not an object": ("[1]", "examples.jsonl, line 2 is list, not an object"),
    "a stage that is no object": ('{"inputs": {}, "stages": [3]}', "examples.jsonl, line 2"),
    "outputs that are no object": ('{"inputs": {}, "outputs": [3]}', "examples.jsonl, line 2"),
}


@pytest.mark.usefixtures("exported")
@pytest.mark.parametrize(("line", "message"), SPOILED.values(), ids=SPOILED)
def test_a_spoiled_line(run: Callable[..., Any], line: str, message: str) -> None:
    """A bad line is named by its number."""
    Path("examples.jsonl").write_text('{"text": "fine"}\n' + line)
    ran = run("verify", "review", "--examples", "examples.jsonl")
    assert (ran.code, ran.out) == (1, "")
    assert message in ran.err


@pytest.mark.usefixtures("exported")
def test_half_a_surrogate_pair(run: Callable[..., Any]) -> None:
    """A text that no provider can receive is skipped and counted."""
    Path("examples.jsonl").write_text('{"text": "\\ud800"}')
    ran = run("verify", "review", "--inputs", "1", "--examples", "examples.jsonl")
    assert ran.code == 0, ran.err
    assert "example: DSPy sends nothing: ValueError: messages contains text that is not valid Unicode" in ran.out


@pytest.mark.usefixtures("exported")
def test_a_line_separator_within_a_text(run: Callable[..., Any]) -> None:
    """U+2028 within a JSON string does not end the line."""
    Path("examples.jsonl").write_text(json.dumps({"text": "a\u2028b\u0085c"}, ensure_ascii=False), encoding="utf-8")
    assert run("verify", "review", "--inputs", "1", "--examples", "examples.jsonl").code == 0


@pytest.mark.usefixtures("exported")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["verify", "review", "--examples", "nowhere.jsonl"], "nowhere.jsonl: cannot be read"),
        (["verify", "review", "--version", "v9"], "review has no version 'v9'; there are v1."),
        (["verify", "revue"], "no exported program 'revue' in configs/programs: there are review."),
        (["verify", "review", "--configs", "nowhere"], "nothing is exported yet"),
    ],
)
def test_what_is_not_there(run: Callable[..., Any], arguments: list[str], message: str) -> None:
    """A missing file, version or program is one message that says what there is."""
    ran = run(*arguments)
    assert (ran.code, ran.out) == (1, "")
    assert message in ran.err


def test_the_program_moved(exported: Path, shop: Path, tool: Callable[..., Any]) -> None:
    """A program that is not where it was exported from, or no longer fits, is said so."""
    (shop / "review.py").write_text((shop / "review.py").read_text().replace("text: str", "body: str"))
    ran = tool("verify", "review")
    assert ran.code == 1
    assert "the code no longer fits review v1" in ran.err
    (shop / "review.py").rename(shop / "reviews.py")
    ran = tool("verify", "review")
    assert ran.code == 1
    assert "no module 'review'" in ran.err


FOREIGN = {
    "not json": "{",
    "a list": "[]",
    "another format": '{"format": 99}',
    "no format": "{}",
    "an unknown key": '{"format": 1, "name": "review", "program": null, "deadlines": {}, "functions": {}, '
    '"versions": {}, "files": {}, "mood": 1}',
    "files of another kind": '{"format": 1, "name": "review", "program": null, "deadlines": {"stage": 1, "run": 2}, '
    '"functions": {}, "versions": {}, "files": null}',
    "another program's": '{"format": 1, "name": "other", "program": null, "deadlines": {}, "functions": {}, '
    '"versions": {}, "files": {}}',
}


@pytest.mark.parametrize("text", FOREIGN.values(), ids=FOREIGN)
def test_a_foreign_manifest(exported: Path, run: Callable[..., Any], text: str) -> None:
    """A broken manifest, or one of another program or format, is one clear message that names the file."""
    (exported / "manifest.json").write_text(text)
    for arguments in (EXPORT, ("verify", "review")):
        ran = run(*arguments)
        assert ran.code == 1, ran
        assert "manifest.json" in ran.err
        assert "Traceback" not in ran.err
