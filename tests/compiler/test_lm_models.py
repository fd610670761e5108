"""Each LM that a program can choose has one model of the gateway's config, or the export is refused with the flags."""

from typing import Any

import dspy
import pytest
from dspy.utils.dummies import DummyLM

from t0dspy.artifact.lms import LmIdentity
from t0dspy.compiler.compile import compile_program
from t0dspy.compiler.lm_models import Models
from t0dspy.compiler.lm_names import name_lms
from t0dspy.compiler.lms import find_lms
from t0dspy.errors import CompileError, SettingsError
from t0dspy.model import CompiledProgram, LmEntry

ADDRESS = "http://me:secret@h:8000/v1/"
LARGE, CHEAP = dspy.LM("openai/large", temperature=0.2), dspy.LM("openai/cheap", max_tokens=9)
LOCAL = dspy.LM("openai/local", api_base=ADDRESS, api_key="none")
POOL = {"fast": dspy.LM("groq/fast")}


def ask_fast(program: Any, question: str) -> Any:
    with dspy.context(lm=POOL["fast"]):
        return program.draft(question=question)


class Steps(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.draft = dspy.Predict("question -> answer")
        self.final = dspy.Predict("question, answer -> text")


class OneLm(Steps):
    def forward(self, question: str) -> Any:
        return self.final(question=question, answer=self.draft(question=question).answer)


class ManyLms(Steps):
    def __init__(self) -> None:
        super().__init__()
        self.final.lm = CHEAP
        self.judges = [dspy.LM("anthropic/judge")]

    def forward(self, question: str) -> Any:
        ask_fast(self, question)
        with dspy.context(lm=LOCAL.copy(temperature=1.0)):
            answer = self.draft(question=question).answer
        with dspy.context(lm=dspy.LM("mistral/made-here", engine="lm15")):
            return self.final(question=question, answer=answer)


class Unused(OneLm):
    def compile_again(self) -> None:
        self.teacher = dspy.Predict("a -> b")

    def forward(self, question: str) -> Any:
        return self.draft(question=question)


def compiled(program: dspy.Module, lm: Any = LARGE, **models: Any) -> CompiledProgram:
    with dspy.context(lm=lm):
        return compile_program(program, models=Models(**models), stages_only=True)


def refused(program: dspy.Module, lm: Any = LARGE, **models: Any) -> str:
    with pytest.raises((CompileError, SettingsError)) as caught:
        compiled(program, lm, **models)
    assert "secret" not in str(caught.value)
    return str(caught.value)


def test_the_lms_of_predictors_attributes_and_code_are_found() -> None:
    """Also in containers, in helper functions and where `forward` creates one; copies are the same LM."""
    lms = {lm.identity.label: lm.places for lm in find_lms(ManyLms(), [("draft", LARGE)])}
    assert lms == {
        "openai/large": [],
        "openai/cheap": ["final"],
        "anthropic/judge": ["judges[0]"],
        "mistral/made-here": [],
        "openai/local@http://h:8000/v1": ["LOCAL"],
        "groq/fast": ["POOL['fast']"],
    }


def test_one_lm_is_mapped_by_its_shorthand_or_by_one_name() -> None:
    """The same name serves all predictors, and each predictor knows its LM."""
    assert compiled(OneLm()).lms == {"large": LmEntry("openai/large", "openai::large")}
    named = compiled(OneLm(), all="main")
    assert named.lms == {"large": LmEntry("openai/large", "main")}
    assert [(each.lm, each.model) for each in named.predictors] == [("large", "main"), ("large", "main")]


def test_several_lms_are_named_by_what_holds_them() -> None:
    """A predictor's path, DSPy's name, an attribute or a variable names an LM; the rest is certain by its name."""
    names = {"final": "cheap", "LOCAL": "local", "judges[0]": "judge", "mistral/made-here": "made"}
    program = compiled(ManyLms(), named=names)
    assert {name: entry.model for name, entry in program.lms.items()} == {
        "large": "openai::large",
        "cheap": "cheap",
        "judge": "judge",
        "made_here": "made",
        "local": "local",
        "fast": "groq::fast",
    }
    assert program.lms["local"].address == "http://h:8000/v1"
    assert {each.path: (each.lm, each.model) for each in program.predictors} == {
        "draft": ("large", "openai::large"),
        "final": ("cheap", "cheap"),
    }


def test_one_name_for_several_lms_is_refused_with_the_flags() -> None:
    """Nobody would notice that a cheap and a large model were served by the same one."""
    assert refused(ManyLms(), all="main") == (
        "cannot compile --model main: is one model for 6 LMs. Write --model openai/large=openai::large "
        "--model openai/cheap=openai::cheap --model anthropic/judge=anthropic::judge "
        "--model mistral/made-here=mistral::made-here --model openai/local@http://h:8000/v1=main "
        "--model groq/fast=groq::fast."
    )


def test_two_predictors_of_one_lm_can_have_two_models() -> None:
    """A path names the model of that predictor alone."""
    program = compiled(OneLm(), named={"draft": "cheap", "final": "main"})
    assert [(each.lm, each.model) for each in program.predictors] == [("large", "cheap"), ("large", "main")]


PROVIDER = {"type": "openai", "api_base": "http://h:8000/v1/", "model_name": "local"}


def test_an_lm_with_an_address_is_guessed_if_one_model_has_its_provider() -> None:
    """Two models with that provider, or none, leave it open."""
    config = {"mine": {"providers": {"p": PROVIDER}}, "other": {"providers": {"p": {**PROVIDER, "model_name": "x"}}}}
    assert compiled(OneLm(), LOCAL, config=config).lms["local"].model == "mine"
    assert "2 models of the config have a provider" in refused(
        OneLm(), LOCAL, config={**config, "twin": {"providers": {"p": PROVIDER}}}
    )
    assert refused(OneLm(), LOCAL) == (
        "cannot compile LM 'openai/local' at http://h:8000/v1: has no known model: no model of the config has a "
        "provider with its address http://h:8000/v1 and the model_name 'local'. Name one with --model, such as "
        "openai::gpt-4o-mini or a model of tensorzero.toml."
    )


def test_the_project_s_table_maps_and_flags_win() -> None:
    """A name in the table that this program does not use is not an error."""
    table = {"openai/local": "main", "openai/elsewhere": "other"}
    assert compiled(OneLm(), LOCAL, table=table).lms["local"].model == "main"
    assert compiled(OneLm(), LOCAL, table=table, named={"openai/local": "flag"}).lms["local"].model == "flag"


def test_names_of_nothing_are_refused_and_unseen_lms_are_not() -> None:
    """A name with a provider may be that of an LM that the program creates in a way that reading does not show."""
    assert "--model drafd=cheap: 'drafd' is not a predictor, an LM or an attribute" in refused(
        OneLm(), named={"drafd": "cheap"}
    )
    program = compiled(OneLm(), named={"openai/unseen@http://x/v1": "later"})
    assert program.lms["unseen"] == LmEntry("openai/unseen", "later", "http://x/v1")
    assert any("later answers for the LM 'openai/unseen' at http://x/v1" in note for note in program.notes)


def test_without_any_lm_one_name_is_enough() -> None:
    """The program sets its LM elsewhere; then the version knows no LM."""
    program = compiled(OneLm(), None, all="main")
    assert program.lms == {}
    assert [(each.lm, each.model) for each in program.predictors] == [(None, "main"), (None, "main")]
    assert "draft: has no known model: it has no LM and DSPy has no configured LM." in refused(OneLm(), None)


def test_a_predictor_without_lm_beside_others_has_the_lm_of_its_model() -> None:
    """The runtime gives it an LM of that name."""
    program = OneLm()
    program.final.lm = CHEAP
    lms = compiled(program, None, all="main", named={"openai/cheap": "small"}).lms
    assert lms == {"cheap": LmEntry("openai/cheap", "small"), "main": LmEntry("openai/main", "main")}


class Own(dspy.BaseLM):
    pass


@pytest.mark.parametrize(
    ("lm", "reason"),
    [
        (DummyLM([]), "is a DummyLM, not a plain dspy.LM"),
        (Own("own/x"), "is a Own, not a plain dspy.LM"),
        (dspy.LM("openai/x", model_type="responses"), "is of model_type 'responses'"),
        (dspy.LM("openai/x", model_type="text"), "is of model_type 'text'"),
    ],
    ids=range(4),
)
def test_lms_that_no_model_can_stand_for(lm: Any, reason: str) -> None:
    """They are refused although a model is named."""
    assert reason in refused(OneLm(), lm, all="main")


@pytest.mark.parametrize("lm", [dspy.LM("openai/x", engine="litellm"), dspy.LM("openai/x", extra_body={"a": 1})])
def test_lms_of_litellm_are_refused_where_python_runs(lm: Any) -> None:
    """A function that the gateway serves alone does not need DSPy's engine."""
    with dspy.context(lm=lm), pytest.raises(CompileError, match="sends its requests through LiteLLM"):
        compile_program(OneLm(), model="main", signature=dspy.Signature("question -> text"))
    assert compiled(dspy.Predict("question -> answer"), lm, all="main").lms["x"].model == "main"


def test_names_in_variants_are_unique_and_stable() -> None:
    """Letters, digits and single underscores, never with the end of a JSON fallback."""
    models = ["openai/gpt-4o", "azure/GPT--4o", "openai/ft:gpt:org::id", "x/returns-json", "y/json", "z/\u00e9"]
    names = list(name_lms(map(LmIdentity, models)).values())
    assert names == ["gpt_4o", "gpt_4o_2", "ft_gpt_org_id", "returns_json_lm", "json", "lm"]
