"""A damaged run directory is reported by name."""

from pathlib import Path
from typing import Any

import pytest

from support.production import pulled
from t0dspy.errors import RetrainError, T0dspyError
from t0dspy.flywheel.retrain.run_directory import Home, Last, RunDirectory, read_shaped


def test_a_damaged_state_file_says_so(tmp_path: Path) -> None:
    """And what to do."""
    (tmp_path / "last.json").write_text("{")
    with pytest.raises(RetrainError, match="start again"):
        read_shaped(tmp_path / "last.json", Last)
    home = Home(tmp_path, "n")
    with home.lock(), pytest.raises(RetrainError, match="another retrain"), Home(tmp_path, "n").lock():
        pass


def test_damaged_examples_of_a_run_are_named(tmp_path: Path) -> None:
    """A run is never resumed with half of its data."""
    run = RunDirectory(tmp_path)
    examples = [pulled(), pulled(inputs={"q": "\u2028 é"})]
    run.write_examples("pulled.jsonl", examples)
    assert [one.to_line() for one in run.read_examples("pulled.jsonl") or ()] == [one.to_line() for one in examples]
    assert run.read_examples("nothing.jsonl") is None
    for text in ("{", "[]", '{"inputs": 3}', '"x"'):
        (tmp_path / "pulled.jsonl").write_text(text)
        with pytest.raises(T0dspyError, match=r"pulled\.jsonl"):
            run.read_examples("pulled.jsonl")


def test_one_program_holds_up_no_other(project: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The output names the error of each program, and the exit code is not 0."""
    from t0dspy.cli import main

    table = 'program = "json:{name}"\nmetric = "t0dspy:exact_match"\ntask_model = "openai/x"\n'
    (project / "t0dspy.toml").write_text("".join(f"[programs.{name}]\n{table}".format(name=name) for name in "ab"))
    monkeypatch.setattr("sys.argv", ["t0dspy", "retrain", "--quiet"])
    with pytest.raises(SystemExit) as stop:
        main()
    said = capsys.readouterr()
    assert stop.value.code == 1
    assert "t0dspy: a: no exported program 'a'" in said.err
    assert "t0dspy: b: no exported program 'b'" in said.err
    assert "2 of 2 programs" in said.err
    assert said.out == ""
