"""`t0dspy export`, flag by flag."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dspy
import pytest

EXPORT = ("export", "review:program", "--name", "review", "--model", "openai::gpt-4o-mini")
QUICK = (*EXPORT, "--no-verify")
TREE = Path("configs/programs/review")


def _files(directory: Path = Path()) -> dict[str, tuple[str, int]]:
    return {
        str(path): ("" if path.is_dir() else path.read_text(), path.stat().st_mtime_ns)
        for path in (directory, *sorted(directory.rglob("*")))
        if "__pycache__" not in path.parts
    }


@pytest.mark.usefixtures("shop")
def test_an_export_prints_what_it_did(run: Callable[..., Any]) -> None:
    """The result goes to stdout: the new files, the proof, the traffic, and that nothing serves it yet."""
    ran = run(*EXPORT)
    assert ran.code == 0, ran.err
    assert ran.err.startswith("note: the predictor: no LM is set here")
    assert "new v1/system.minijinja" in ran.out
    assert "exported review v1 to configs/programs/review" in ran.out
    assert "prompts     equal: " in ran.out
    assert "traffic     v1 100%" in ran.out
    assert "written, not serving" in ran.out


@pytest.mark.usefixtures("shop")
def test_an_unchanged_program_touches_nothing(run: Callable[..., Any]) -> None:
    """Exporting the same program again changes no byte and no time of any file or directory."""
    run(*QUICK)
    before = _files(Path("configs"))
    ran = run(*QUICK)
    assert (ran.code, ran.out) == (0, "review v1 is this program already: nothing to export.\n")
    assert _files(Path("configs")) == before


@pytest.mark.usefixtures("shop")
def test_a_dry_run_writes_nothing(run: Callable[..., Any]) -> None:
    """Not even a lock or an empty directory."""
    before = _files()
    ran = run(*EXPORT, "--dry-run")
    assert ran.code == 0
    assert "would export review v1" in ran.out
    assert "prompts     equal" in ran.out
    assert "written" not in ran.out
    assert _files() == before


@pytest.mark.usefixtures("shop")
def test_quiet_prints_nothing(tool: Callable[..., Any]) -> None:
    """With --quiet, exit 0 means silence on both streams."""
    assert tool(*EXPORT, "--quiet") == (0, "", "")
    assert tool(*EXPORT, "--quiet") == (0, "", "")


@pytest.mark.usefixtures("shop")
def test_json_is_for_programs(run: Callable[..., Any]) -> None:
    """--json prints one object with everything that the text says."""
    ran = run(*EXPORT, "--json")
    result = json.loads(ran.out)
    assert result["version"] == "v1"
    assert result["written"] is True
    assert result["unchanged"] is False
    assert result["shares"] == {"v1": 1.0}
    assert result["served_by"] == "gateway"
    assert result["parity"]["equal"] is True
    assert result["parity"]["requests"] > 200
    assert json.loads(run(*EXPORT, "--json").out)["unchanged"] is True


@pytest.mark.usefixtures("shop")
def test_every_flag_reaches_the_tree(run: Callable[..., Any]) -> None:
    """Adapter, demos, signature, traffic, stages-only and configs do what they say."""
    Path("state.json").write_text(json.dumps(_state("Judge it harshly.")))
    run(*QUICK)
    ran = run(*QUICK, "--state", "state.json", "--traffic", "0.25", "--adapter", "chat", "--demos", "system")
    assert "traffic     v1 75%  v2 25%" in ran.out
    assert "+Judge" not in ran.out
    assert "Judge it harshly." in (TREE / "v2/system.minijinja").read_text()
    ran = run(*QUICK, "--configs", "elsewhere", "--adapter", "json", "--signature", "text -> stars: int")
    assert 'type = "json"' in Path("elsewhere/programs/review/program.toml").read_text()
    ran = run(*QUICK[:3], "stages", *QUICK[4:], "--stages-only")
    assert "its predictors' functions only" in ran.out
    ran = run(*QUICK[:3], "stages", *QUICK[4:])
    assert (ran.code, ran.out) == (1, "")
    assert "--breaking" in ran.err
    ran = run(*QUICK[:3], "stages", *QUICK[4:], "--breaking")
    assert "exported stages_2 v1" in ran.out


@pytest.mark.usefixtures("shop")
def test_a_state_does_not_say_its_adapter(run: Callable[..., Any]) -> None:
    """Where nobody else says it either, the export tells whose prompts it takes."""
    Path("state.json").write_text(json.dumps(_state("Judge it harshly.")))
    flags = (*QUICK, "--state", "state.json", "--dry-run")
    said = "does not record the adapter it was optimized with"
    assert said in run(*flags).err
    assert said not in run(*flags, "--adapter", "chat").err
    with dspy.context(adapter=dspy.JSONAdapter()):
        assert said not in run(*flags).err


def _state(instructions: str) -> dict[str, Any]:
    fields = [
        {"prefix": "Text:", "description": "${text}"},
        {"prefix": "Stars:", "description": "1 to 5"},
    ]
    signature = {"instructions": instructions, "fields": fields}
    return {"self": {"traces": [], "train": [], "demos": [], "signature": signature, "lm": None}}


@pytest.mark.usefixtures("shop")
def test_a_program_from_settings(run: Callable[..., Any]) -> None:
    """A name from [tool.t0dspy.programs] brings its settings; a flag wins over them."""
    Path("pyproject.toml").write_text(
        '[tool.t0dspy]\nconfigs = "tensorzero"\n[tool.t0dspy.programs.judge]\nprogram = "review:program"\n'
        'model = "openai::gpt-4o"\nadapter = "json"\nstage_timeout = 20\n'
    )
    assert run("export", "judge", "--no-verify").code == 0
    variant = Path("tensorzero/programs/judge/v1/variant.toml").read_text()
    assert 'model = "openai::gpt-4o"' in variant
    assert "total_ms = 20000" in variant
    assert run("export", "judge", "--no-verify", "--model", "openai::gpt-4.1").code == 0
    assert 'model = "openai::gpt-4.1"' in Path("tensorzero/programs/judge/v2/variant.toml").read_text()
    ran = run("export", "jugde", "--no-verify")
    assert ran.code == 1
    assert "configured: judge" in ran.err


SPOILED = {
    "no module": ("nowhere:program", None, "no module 'nowhere'"),
    "no import path": ("nowhere", None, "no program 'nowhere'"),
    "no attribute": ("spoiled:missing", "import dspy\nprogram = dspy.Predict('a -> b')", "It has program."),
    "syntax error": ("spoiled:program", "def broken(:\n", "SyntaxError in spoiled.py line 1"),
    "import of another": ("spoiled:program", "import nowhere_else", "No module named 'nowhere_else'"),
    "raises": ("spoiled:program", "1 / 0", "importing spoiled failed: ZeroDivisionError"),
    "exits": ("spoiled:program", "raise SystemExit(7)", "importing spoiled failed: SystemExit"),
    "factory raises": ("spoiled:make", "def make():\n    raise ValueError('no data')", "make() failed: ValueError"),
    "factory wants more": ("spoiled:make", "def make(size):\n    pass", "It is called without arguments."),
    "not a module": ("spoiled:program", "program = 3", "is a int, not a dspy.Module"),
}


@pytest.mark.parametrize(("reference", "source", "message"), SPOILED.values(), ids=SPOILED)
def test_a_program_that_cannot_be_loaded(
    shop: Path, run: Callable[..., Any], reference: str, source: str | None, message: str
) -> None:
    """Whatever is wrong with the user's module is one message, never a traceback, and exit code 1."""
    if source is not None:
        (shop / "spoiled.py").write_text(source)
    ran = run("export", reference, "--model", "openai::x")
    assert ran.code == 1, ran
    assert ran.out == ""
    assert ran.err.startswith("t0dspy: ")
    assert message in ran.err
    assert "Traceback" not in ran.err
    assert not (shop / "configs").exists()


MADE = {"a class": "class Make(dspy.Predict):\n    def __init__(self):\n        super().__init__('text -> stars')"}
MADE["a factory"] = "def Make():\n    return dspy.Predict('text -> stars')"


@pytest.mark.parametrize("source", MADE.values(), ids=MADE)
def test_a_class_or_a_factory(shop: Path, run: Callable[..., Any], source: str) -> None:
    """PROGRAM may be something that makes the program."""
    (shop / "made.py").write_text(f"import dspy\n{source}\n")
    ran = run(
        "export", "made:Make", "--model", "openai::x", "--name", "made", "--no-verify", "--signature", "text -> stars"
    )
    assert ran.code == 0, ran.err


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("path", ["v1/system.minijinja", "program.toml"])
@pytest.mark.parametrize("change", ["edit", "remove"])
def test_a_hand_edit_is_named(run: Callable[..., Any], path: str, change: str) -> None:
    """A generated file that was edited or removed is named, and not written over without a word."""
    run(*QUICK)
    edited = TREE / path
    if change == "edit":
        edited.write_text(edited.read_text() + "\n# mine\n")
    else:
        edited.unlink()
    before = _files(TREE)
    ran = run(*QUICK)
    assert ran.code == 0
    assert f"{edited} {'was changed by hand' if change == 'edit' else 'is missing'}" in ran.err
    other = ["openai::gpt-4o" if word == "openai::gpt-4o-mini" else word for word in QUICK]
    ran = run(*other, "--adapter", "chat")
    if path == "program.toml":
        assert ran.code == 1
        assert str(edited) in ran.err
        assert _files(TREE) == before
    else:
        assert ran.code == 0
        assert str(edited) in ran.err
        assert edited.exists() == (change == "edit")


TWO_LMS = """
import dspy

class Two(dspy.Module):
    def __init__(self):
        super().__init__()
        self.draft = dspy.Predict("question -> answer")
        self.draft.lm = dspy.LM("openai/cheap", api_base="http://127.0.0.1:9/v1")
        self.final = dspy.Predict("answer -> text")
        self.final.lm = dspy.LM("openai/large")

    def forward(self, question: str):
        return self.final(answer=self.draft(question=question).answer)

program = Two()
"""


def test_models_and_kept_predictors_by_flag(shop: Path, run: Callable[..., Any]) -> None:
    """One model for two LMs is refused with the flags; the printed flags work."""
    (shop / "two.py").write_text(TWO_LMS)
    command = ("export", "two:program", "--name", "two", "--no-verify")
    ran = run(*command, "--model", "openai::x")
    assert ran.code == 1
    flags = ("--model", "openai/cheap@http://127.0.0.1:9/v1=openai::x", "--model", "openai/large=openai::large")
    assert " ".join(flags) in ran.err
    ran = run(*command, *flags, "--keep", "final")
    assert ran.code == 0, ran.err
    assert "in Python   final" in ran.out
    assert "note: final is kept in Python and runs through DSPy. It could also be compiled." in ran.err
    manifest = json.loads(Path("configs/programs/two/manifest.json").read_text())
    assert manifest["versions"]["v1"]["lms"]["cheap"]["model"] == "openai::x"
    assert run(*command, "--model", "a", "--model", "b").err.endswith("write NAME=MODEL to name several models.\n")
    assert "write NAME=MODEL, such as" in run(*command, "--model", "draft=").err


def test_models_and_kept_predictors_by_setting(shop: Path, run: Callable[..., Any]) -> None:
    """A flag overrides the program's table, which overrides that of the project."""
    (shop / "two.py").write_text(TWO_LMS)
    (shop / "t0dspy.toml").write_text(
        "[models]\n'openai/cheap' = 'openai::a'\n'openai/other' = 'openai::b'\n"
        "[programs.two]\nprogram = 'two:program'\nkeep = ['draft']\nmodels = { final = 'openai::c' }\n"
    )
    assert run("export", "two", "--no-verify", "--model", "openai/large=openai::d").code == 0
    version = json.loads(Path("configs/programs/two/manifest.json").read_text())["versions"]["v1"]
    assert {path: (stage["model"], stage["kept"]) for path, stage in version["predictors"].items()} == {
        "final": ("openai::c", False),
        "draft": ("openai::a", True),
    }
    assert version["lms"]["large"]["model"] == "openai::d"


@pytest.mark.usefixtures("shop")
def test_traffic_that_cannot_be(run: Callable[..., Any]) -> None:
    """A share that no version can have is refused, on the first export too."""
    for share in ("0", "-1", "1.5", "nan"):
        ran = run(*QUICK, "--traffic", share)
        assert ran.code == 1, share
        assert "more than 0 and at most 1" in ran.err
    assert not Path("configs").exists()


@pytest.mark.usefixtures("shop")
def test_traffic_for_an_unchanged_program(run: Callable[..., Any]) -> None:
    """A share asked for along with nothing new is not dropped in silence."""
    run(*QUICK)
    ran = run(*QUICK, "--traffic", "0.5")
    assert ran.code == 0
    assert "--traffic" in ran.err
