"""Kept predictors: what no template can hold runs through DSPy, and sends and answers what plain DSPy does."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dspy
import numpy as np
import pytest
from dspy.teleprompt import KNNFewShot

from t0dspy.artifact.exported import ExportedProgram
from t0dspy.errors import CompileError
from t0dspy.exporting.export import export
from t0dspy.parity.run_equality import compare_runs
from t0dspy.parity.run_report import explain_runs
from t0dspy.parity.runs import Plain, Side, bench
from t0dspy.parity.served import deployed
from t0dspy.program.of_version import with_version

STORAGE = '[object_storage]\ntype = "disabled"\n'


def search(query: str) -> str:
    """Find it."""
    return f"found {query}"


def reward(args: dict[str, Any], prediction: dspy.Prediction) -> float:
    return 0.0


class See(dspy.Module):
    """A predictor with an image, and one without."""

    def __init__(self) -> None:
        super().__init__()
        self.see = dspy.Predict("image: dspy.Image, question -> caption")
        self.tell = dspy.Predict("caption -> text")

    def forward(self, image: dspy.Image, question: str) -> dspy.Prediction:
        return self.tell(caption=self.see(image=image, question=question).caption)


class Chat(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.reply = dspy.Predict("history: dspy.History, question -> answer")

    def forward(self, history: dspy.History, question: str) -> dspy.Prediction:
        return self.reply(history=history, question=question)


class Around(dspy.Module):
    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner
        self.say = dspy.Predict("answer -> text")

    def forward(self, question: str) -> dspy.Prediction:
        return self.say(answer=self.inner(question=question).answer)


class AtRunTime(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ask = dspy.Predict("question -> answer")

    def forward(self, question: str) -> dspy.Prediction:
        other = dspy.Predict("question, hint -> answer")
        return other(
            question=question, hint=self.ask(question=question, demos=[{"question": "a", "answer": "b"}]).answer
        )


def refine() -> dspy.Module:
    return Around(dspy.Refine(dspy.Predict("question -> answer"), N=2, reward_fn=reward, threshold=1.0))


def hidden() -> dspy.Module:
    inner = dspy.ChainOfThought("question -> answer")
    inner._compiled = True
    return Around(inner)


def knn() -> dspy.Module:
    def vectorizer(texts: Any) -> Any:
        return np.ones((len(texts), 2), dtype=np.float32)

    trainset = [dspy.Example(question="a", answer="b").with_inputs("question")]
    return Around(KNNFewShot(1, trainset, vectorizer=vectorizer).compile(dspy.Predict("question -> answer")))


QUESTION = {"question": "Why?"}
IMAGE = {"image": dspy.Image("data:image/png;base64,aGk="), **QUESTION}
HISTORY = {"history": dspy.History(messages=[{"question": "a", "answer": "b"}]), **QUESTION}

PROGRAMS: list[tuple[Callable[[], dspy.Module], list[str], dict[str, Any]]] = [
    (See, ["see"], IMAGE),
    (Chat, ["reply"], HISTORY),
    (refine, ["inner"], QUESTION),
    (lambda: Around(dspy.ReActV2("question -> answer", tools=[search])), ["inner"], QUESTION),
    (hidden, ["inner"], QUESTION),
    (knn, ["inner"], QUESTION),
    (lambda: dspy.Refine(dspy.Predict("question -> answer"), 2, reward, 1.0), ["self"], QUESTION),
    (lambda: dspy.ReActV2("question -> answer", tools=[search]), ["self"], QUESTION),
    (AtRunTime, ["self"], QUESTION),
]


@pytest.fixture(autouse=True)
def _an_lm() -> Any:
    with dspy.context(lm=dspy.LM("openai/gpt-4o-mini", temperature=0.3)), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def exported(program: dspy.Module, configs: Path, keep: list[str], **options: Any) -> ExportedProgram:
    configs.mkdir(exist_ok=True)
    (configs / "tensorzero.toml").write_text(STORAGE)
    export(program, configs, name="kept", import_path="app:kept", keep=keep, verify=False, **options)
    return ExportedProgram.read(configs, "kept")


@pytest.mark.parametrize(("make", "keep", "inputs"), PROGRAMS, ids=range(len(PROGRAMS)))
def test_kept_predictors_run_as_in_dspy(
    make: Callable[[], dspy.Module], keep: list[str], inputs: dict[str, Any], tmp_path: Path
) -> None:
    """The same requests and outcomes for good and bad answers; without `--keep`, the export is refused."""
    with pytest.raises(CompileError, match=f"Or pass --keep {keep[0]}"):
        exported(make(), tmp_path / "refused", [])
    program = make()
    tree = exported(program, tmp_path / "configs", keep, signature="question -> answer" if make is AtRunTime else None)
    entry = tree.version("v1")
    assert [path for path, predictor in entry.predictors.items() if predictor.kept] == keep
    assert all(tree.manifest.functions[entry.predictors[path].function].blank for path in keep)
    program = with_version(program, tree, "v1")
    with bench(program) as both, deployed(program, tree, "v1", both.upstream.url.removesuffix("/v1")) as served:
        report = compare_runs(both, Plain(), served, [inputs], ["good", "prose then JSON", "401"], stages=False)
    assert report.equal, explain_runs(report, "kept")
    assert not report.not_provable


def test_the_state_of_kept_predictors_belongs_to_the_version(tmp_path: Path) -> None:
    """Hidden predictors too, which DSPy itself does not save."""
    program = hidden()
    program.inner.predict.signature = program.inner.predict.signature.with_instructions("Optimized.")
    tree = exported(program, tmp_path, ["inner"])
    loaded: Any = with_version(hidden(), tree, "v1")
    assert loaded.inner.predict.signature.instructions == "Optimized."


def test_images_need_a_table_in_the_config(tmp_path: Path) -> None:
    """The gateway answers 500 to images without it."""
    (tmp_path / "tensorzero.toml").write_text("")
    with pytest.raises(CompileError, match=r'\[object_storage\]\n    type = "disabled"'):
        export(See(), tmp_path, name="kept", import_path="app:kept", keep=["see"])


class MyAdapter(dspy.ChatAdapter):
    pass


def test_a_custom_adapter_needs_every_predictor_kept(tmp_path: Path) -> None:
    """Its prompts cannot be templates."""
    with dspy.context(adapter=MyAdapter()):
        with pytest.raises(CompileError, match="Or pass --keep tell, so that they run in Python"):
            exported(See(), tmp_path, ["see"])
        assert exported(See(), tmp_path, ["see", "tell"]).version("v1").predictors["tell"].kept


def test_a_path_of_nothing_is_refused(tmp_path: Path) -> None:
    """The message lists the paths."""
    with pytest.raises(
        CompileError, match=r"--keep eye: is no predictor or module of the program\. There are self, see, tell"
    ):
        exported(See(), tmp_path, ["eye"])


class OwnLm(dspy.Module):
    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.ask = dspy.Predict("question -> answer")
        self.ask.lm = dspy.LM("openai/cheap", **options)
        self.say = dspy.Predict("answer -> text")

    def forward(self, question: str) -> dspy.Prediction:
        return self.say(answer=self.ask(question=question).answer)


def test_the_own_lm_of_a_predictor_belongs_to_the_version(tmp_path: Path) -> None:
    """It is that of the code, and that of a saved state if the state has another one."""
    tree = exported(OwnLm(temperature=0.9), tmp_path / "code", [])
    live = OwnLm(temperature=0.9)
    loaded: Any = with_version(live, tree, "v1")
    assert loaded.ask.lm is live.ask.lm
    assert loaded.say.lm is None
    OwnLm(temperature=0.1).save(tmp_path / "state.json")
    state = exported(OwnLm(temperature=0.9), tmp_path / "state", [], state=tmp_path / "state.json")
    loaded = with_version(live, state, "v1")
    assert (loaded.ask.lm.model, loaded.ask.lm.kwargs["temperature"]) == ("openai/cheap", 0.1)


class Live(Side):
    """Deploys a program whose prompts are not those of the version."""

    in_runs = True

    def __init__(self, served: Side, make: Callable[[], dspy.Module]) -> None:
        self.served, self.make = served, make

    def prepare(self, program: dspy.Module) -> dspy.Module:
        return self.served.prepare(self.make())


@pytest.mark.parametrize("keep", [["inner"], ["inner.predict"]])
def test_a_deployed_program_has_the_prompts_of_the_version(keep: list[str], tmp_path: Path) -> None:
    """Also in kept predictors, whose prompts DSPy writes."""

    def make() -> Any:
        return Around(dspy.ChainOfThought("question -> answer"))

    optimized = make()
    optimized.inner.predict.signature = optimized.inner.predict.signature.with_instructions("Optimized.")
    optimized.inner.predict.demos = [{"question": "a", "reasoning": "b", "answer": "c"}]
    tree = exported(optimized, tmp_path, keep)
    with bench(optimized) as both, deployed(optimized, tree, "v1", both.upstream.url.removesuffix("/v1")) as served:
        report = compare_runs(both, Plain(), Live(served, make), [QUESTION], ["good"], stages=False)
    assert report.equal, explain_runs(report, "kept")
