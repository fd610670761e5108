"""`deploy`: what DSPy does around a predictor stays, what answers it is the gateway."""

import asyncio
import copy
import json
import threading
from pathlib import Path
from typing import Any

import dspy
import pytest
from dspy.utils.callback import BaseCallback
from dspy.utils.dummies import DummyLM

import t0dspy
from support.served import LyingFront, Served, at_once, booking_agent, chat
from t0dspy.errors import BundleError, GatewayError, GatewayUnreachableError, ProgramError
from t0dspy.runtime.functions import find_function, read_fields
from t0dspy.testing import Reply, ScriptedUpstream


def stories() -> Any:
    from stories import Stories

    return Stories()


def question() -> Any:
    return dspy.Predict("question: str -> answer: str")


@pytest.fixture
def tales(served: Served) -> Any:
    return served.deploy(stories(), "tales", version="v1")


def test_the_same_object_comes_back_and_answers(served: Served) -> None:
    """The program is the one that was given, and its answers carry where they came from."""
    program = stories()
    deployed = served.deploy(program, "tales", version="v2")
    prediction = deployed(topic="cats")
    assert deployed is program
    assert prediction.text == "text of NEW outline of cats"
    assert (prediction.variant, prediction.keys()) == ("v2", ["text"])
    rows = served.stages(prediction.episode_id)
    assert rows == [["tales__plan", "v2", "pinned"], ["tales__write", "v2", "pinned"]]
    found = served.rows(f"SELECT function_name FROM ChatInference WHERE id = '{prediction.inference_id}'")
    assert found == [["tales__write"]]


async def _twice(program: Any) -> list[Any]:
    return list(await asyncio.gather(*(program.acall(topic=str(at)) for at in range(12))))


def test_async_calls_on_any_event_loop(tales: Any) -> None:
    """Each call has its own episode, on one loop after another."""
    for _ in range(2):
        predictions = asyncio.run(_twice(tales))
        assert [one.text for one in predictions] == [f"text of outline of {at}" for at in range(12)]
        assert len({one.episode_id for one in predictions}) == 12


def test_threads_and_parallel_stages(served: Served, tales: Any) -> None:
    """Calls from many threads do not mix; threads of DSPy's inside a call belong to its episode."""
    from stories import Both

    predictions = at_once([lambda at=at: tales(topic=f"n{at}") for at in range(16)])
    assert [one.text for one in predictions] == [f"text of outline of n{at}" for at in range(16)]
    both = served.deploy(Both(), "both")
    prediction = both(topic="x")
    assert (prediction.left, prediction.right, prediction.inference_id) == ("left of x", "right of x", None)
    rows = served.rows(f"SELECT function_name FROM ChatInference WHERE episode_id = '{prediction.episode_id}'")
    assert sorted(rows) == [["both__one"], ["both__other"]]


def test_batch_keeps_calls_apart(tales: Any) -> None:
    """`Module.batch` makes one run of each example."""
    examples = [dspy.Example(topic=str(at)).with_inputs("topic") for at in range(6)]
    predictions = tales.batch(examples, num_threads=3, disable_progress_bar=True)
    assert [one.text for one in predictions] == [f"text of outline of {at}" for at in range(6)]
    assert len({one.episode_id for one in predictions}) == 6


class Recorder(BaseCallback):
    def __init__(self) -> None:
        self.seen: list[str] = []

    def on_module_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        self.seen.append(type(instance).__name__)

    def on_lm_end(self, call_id: str, outputs: Any, exception: Exception | None = None) -> None:
        self.seen.append("lm")

    def on_adapter_parse_end(self, call_id: str, outputs: Any, exception: Exception | None = None) -> None:
        self.seen.append("parse")


def test_trace_history_usage_and_callbacks(tales: Any) -> None:
    """What DSPy records of a call, it records of a deployed one."""
    recorder = Recorder()
    with dspy.context(trace=[], track_usage=True, callbacks=[recorder]):
        prediction = tales(topic="cats")
        trace = dspy.settings.trace
    assert [(one is step[0], step[1]) for one, step in zip((tales.plan, tales.write), trace, strict=True)] == [
        (True, {"topic": "cats"}),
        (True, {"outline": "outline of cats"}),
    ]
    assert trace[1][2] is prediction
    assert prediction.get_lm_usage()["openai/m"]["total_tokens"] == 4
    assert recorder.seen == ["Stories", "Predict", "lm", "parse", "Predict", "lm", "parse"]
    assert len(tales.history) == 2
    assert tales.history[1]["messages"][-1]["content"].startswith("[[ ## outline ## ]]\noutline of cats\n\n")


def test_n_and_sampling(served: Served, scripted: ScriptedUpstream) -> None:
    """Candidates are inferences of their own; every option of a call reaches the provider unchanged."""
    program = served.deploy(question(), "question")
    prediction = program(question="who", config={"n": 3, "max_tokens": 7})
    rows = served.rows(f"SELECT count() FROM ChatInference WHERE episode_id = '{prediction.episode_id}'")
    assert (len(prediction.completions), rows) == (3, [["3"]])
    assert [one.body["max_completion_tokens"] for one in scripted.requests] == [7, 7, 7]
    assert {one.body["temperature"] for one in scripted.requests} == {0.7}  # DSPy's own rule for n > 1
    program(question="who", config={"logprobs": True, "top_logprobs": 2, "logit_bias": {"17": -100}})
    last = scripted.requests[-1].body
    assert (last["logprobs"], last["top_logprobs"], last["logit_bias"]) == (True, 2, {"17": -100})


def test_cache_is_dspys_and_off_unless_asked_for(served: Served, scripted: ScriptedUpstream) -> None:
    """Without `cache` every call is answered anew; with it, DSPy's rules hold."""
    program = served.deploy(question(), "question")
    assert program(question="anew").inference_id != program(question="anew").inference_id
    scripted.requests.clear()
    cached = served.deploy(question(), "question", cache=True)
    one, again = cached(question="cached?"), cached(question="cached?")
    cached(question="cached?", config={"rollout_id": 1, "temperature": 1.0})
    assert one.inference_id
    assert again.inference_id is None  # the gateway did not see the second call
    assert len(scripted.requests) == 2


def test_a_copy_runs_on_local_models(served: Served, tales: Any, scripted: ScriptedUpstream) -> None:
    """Optimizers copy programs and run the copies: nothing of that reaches the gateway."""
    local = DummyLM([{"outline": "local"}, {"text": "local text"}] * 3, adapter=dspy.ChatAdapter())
    with dspy.context(lm=local, adapter=dspy.ChatAdapter()):
        for made in (tales.deepcopy(), tales.reset_copy(), copy.deepcopy(tales)):
            assert made(topic="cats").text == "local text"
            assert "episode_id" not in vars(made)
    assert not scripted.requests
    assert tales(topic="cats").text == "text of outline of cats"


def test_an_optimizer_compiles_a_deployed_program(served: Served, tales: Any, scripted: ScriptedUpstream) -> None:
    """BootstrapFewShot runs its student locally, and its result is not deployed."""
    local = DummyLM([{"outline": "local"}, {"text": "local text"}] * 4, adapter=dspy.ChatAdapter())
    train = [dspy.Example(topic=str(at), text="local text").with_inputs("topic") for at in range(2)]
    with dspy.context(lm=local, adapter=dspy.ChatAdapter()):
        compiled = dspy.BootstrapFewShot(metric=lambda *_: True, max_bootstrapped_demos=1).compile(
            tales, trainset=train
        )
    assert not scripted.requests
    assert compiled.plan.demos
    assert not tales.plan.demos


def test_best_of_n_inside_and_around(served: Served, scripted: ScriptedUpstream) -> None:
    """BestOfN's copies are answered by the gateway, whether BestOfN was deployed or its module."""
    from stories import best_of_three

    replies = iter(["a", "aaa", "aa", "b", "bbb", "bb"])
    scripted.script = lambda request: chat(answer=next(replies))
    prediction = served.deploy(best_of_three(), "best_of_three")(question="why")
    assert (prediction.answer, prediction.variant) == ("aaa", "v1")
    assert [one.body["temperature"] for one in scripted.requests] == [1.0] * 3
    inner = served.deploy(question(), "question")
    outer = dspy.BestOfN(inner, N=3, reward_fn=lambda args, pred: len(pred.answer), threshold=99)
    with dspy.context(lm=dspy.LM("openai/m", api_key="none"), trace=[]):
        assert outer(question="why").answer == "bbb"


def test_react_runs_its_tools_once(served: Served, scripted: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent's tool runs in this process, exactly once; its trajectory reads as it was exported."""
    import stories

    booked: list[str] = []
    monkeypatch.setattr(stories, "note", booked.append)
    scripted.script = booking_agent
    prediction = served.deploy(stories.agent.deepcopy(), "agent")(request="a room")
    assert (prediction.result, booked) == ("done", ["booked 7"])
    assert "[[ ## observation_0 ## ]]\nbooked 7" in scripted.requests[1].body["messages"][-1]["content"]
    assert len(scripted.requests) == 3


def test_a_context_that_is_too_long_is_dspys_error(served: Served, scripted: ScriptedUpstream) -> None:
    """ReAct shortens its trajectory on it."""
    error = {"message": "maximum context length is 10 tokens", "code": "context_length_exceeded"}
    scripted.script = Reply(raw=json.dumps({"error": error}).encode(), status=400)
    with pytest.raises(dspy.utils.exceptions.ContextWindowExceededError):
        served.deploy(question(), "question")(question="long")


def test_demos_go_out_as_turns(served: Served, scripted: ScriptedUpstream) -> None:
    """The provider gets exactly the messages that stock DSPy sends."""
    from stories import asker

    program = asker()
    stock = dspy.ChatAdapter().format(program.signature, list(program.demos), {"question": "now?"})
    served.deploy(program, "asker")(question="now?")
    assert scripted.requests[-1].body["messages"] == stock


def test_json_text_is_repaired_as_dspy_repairs_it(served: Served, scripted: ScriptedUpstream) -> None:
    """A fenced answer, which the gateway does not parse, is no lost answer."""
    import stories

    scripted.script = '```json\n{"reasoning": "r", "answer": "yes",}\n```'
    prediction = served.deploy(stories.thinker.deepcopy(), "thinker")(question="ok?")
    assert (prediction.answer, prediction.reasoning) == ("yes", "r")


def test_the_incumbent_answers_and_is_read_again(served: Served, tmp_path: Path) -> None:
    """Without a version the largest share decides, as rollout.toml says now; a broken file changes nothing."""
    rollout = served.configs / "programs" / "tales" / "rollout.toml"
    before = rollout.read_text()
    try:
        program = served.deploy(stories(), "tales")
        assert program(topic="cats").variant == "v1"
        rollout.write_text(before.replace("v1 = 0.5, v2 = 0.5", "v1 = 0.2, v2 = 0.8"))
        stages = served.stages(program(topic="cats").episode_id)
        assert stages == [["tales__plan", "v2", "pinned"], ["tales__write", "v2", "pinned"]]
        rollout.write_text("[functions.tales")
        assert program(topic="cats").variant == "v2"
    finally:
        rollout.write_text(before)


def test_a_predictor_alone_is_a_call_of_its_own(tales: Any) -> None:
    """A predictor called by itself has an episode of its own."""
    one, other = tales.plan(topic="a"), tales.plan(topic="b")
    assert one.episode_id != other.episode_id
    assert one.outline == "outline of a"


def test_an_answer_that_does_not_parse(served: Served, tales: Any, scripted: ScriptedUpstream) -> None:
    """DSPy asks once more, in its JSON form, which the version has as a variant of its own."""
    scripted.script = "no fields here"
    with pytest.raises(dspy.utils.exceptions.AdapterParseError):
        tales(topic="cats")
    assert len(scripted.requests) == 2
    scripted.script = lambda request: '{"outline": "o", "text": "t"}' if "JSON object" in str(request.body) else "no"
    prediction = tales(topic="cats")
    assert prediction.text == "t"
    stages = [[name, version, "pinned"] for name in ("tales__plan", "tales__write") for version in ("v1", "v1_json")]
    assert served.stages(prediction.episode_id) == stages


def test_an_empty_answer_is_none(served: Served, scripted: ScriptedUpstream) -> None:
    """Nothing is not read as a field's default, by nobody; an answer that leaves the field out is."""
    from stories import taciturn

    deployed = served.deploy(taciturn.deepcopy(), "taciturn")
    scripted.script = chat(other="x")
    assert deployed(topic="cats").remark is None
    scripted.script = ""
    with pytest.raises(dspy.utils.exceptions.AdapterParseError, match="empty or null response"):
        deployed(topic="dogs")
    function = find_function(served.configs, "taciturn")
    assert read_fields(chat(other="x"), function.outputs, "chat") == {"remark": None}
    assert read_fields("", function.outputs, "chat") is None


def test_an_answer_of_another_variant_is_none(served: Served) -> None:
    """A gateway that answers a call with a version that it was not asked for fails the call, sync and async."""
    with LyingFront(served.url) as front:
        program = t0dspy.deploy(stories(), "tales", "v1", configs=served.configs, gateway_url=front.url)
        with pytest.raises(GatewayError, match=r"tales__plan was asked for v1, but v2 answered"):
            program(topic="cats")
        with pytest.raises(GatewayError, match=r"tales__plan was asked for v1, but v2 answered"):
            asyncio.run(program.acall(topic="cats"))
        names = [one.body["model"] for one in front.requests]
        assert names == ["tensorzero::function_name::tales__plan"] * 2


def test_a_provider_failure_is_dspys_error(tales: Any, scripted: ScriptedUpstream) -> None:
    """The provider's status and words arrive as in plain DSPy, and a final error is not repeated."""
    for status, kind in ((400, "LMInvalidRequestError"), (401, "LMAuthError")):
        scripted.requests.clear()
        scripted.script = Reply("the provider's words", status=status)
        with pytest.raises(getattr(dspy.utils.exceptions, kind), match="the provider's words"):
            tales(topic="cats")
        assert len(scripted.requests) == 1


def test_what_cannot_be_deployed(served: Served) -> None:
    """Every refusal says what to do."""
    with pytest.raises(BundleError, match="no exported program 'nothing'"):
        served.deploy(stories(), "nothing")
    with pytest.raises(BundleError, match="has no version 'v9'; there are v1, v2"):
        served.deploy(stories(), "tales", version="v9")
    with pytest.raises(ProgramError, match="does not fit tales v1: the predictor 'plan' no longer exists"):
        served.deploy(question(), "tales", version="v1")
    with pytest.raises(ProgramError, match="which exported program"):
        served.deploy(question(), None)


def test_the_name_is_found_by_what_fits(served: Served) -> None:
    """Without a name, the exported program is found by its import path."""
    import stories as module

    assert served.deploy(module.both.deepcopy(), None)(topic="y").left == "left of y"


def test_no_gateway(served: Served) -> None:
    """A gateway that is not there is named, and nothing is retried."""
    program = t0dspy.deploy(stories(), "tales", configs=served.configs, gateway_url="http://127.0.0.1:9")
    with pytest.raises(GatewayUnreachableError, match=r"no gateway answers at http://127.0.0.1:9. Start one"):
        program(topic="cats")


def test_an_outage_of_the_gateway_fails_a_program_that_catches_it(served: Served) -> None:
    """A tool or a handler that swallows the exception does not make an answer of it."""
    from stories import Stories

    class Swallowing(Stories):
        def forward(self, topic: str) -> dspy.Prediction:
            try:
                return super().forward(topic)
            except Exception:
                return dspy.Prediction(text="swallowed")

    program = t0dspy.deploy(Swallowing(), "tales", configs=served.configs, gateway_url="http://127.0.0.1:9")
    with pytest.raises(GatewayUnreachableError, match="no gateway answers"):
        program(topic="cats")


def test_a_thread_of_ones_own_is_a_call_of_its_own(tales: Any) -> None:
    """DSPy's settings do not reach it, so it has an episode of its own."""
    found: list[Any] = []
    worker = threading.Thread(target=lambda: found.append(tales.plan(topic="t")))
    worker.start()
    worker.join()
    assert found[0].outline == "outline of t"


def test_a_deployed_program_inside_another(served: Served, tales: Any) -> None:
    """Each has its own version and its own episode."""

    class Outer(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.question = question()
            vars(self)["inner"] = lambda topic: tales(topic=topic)

        def forward(self, topic: str) -> Any:
            return dspy.Prediction(inner=vars(self)["inner"](topic), own=self.question(question=topic))

    outer = Outer()
    served.deploy(outer.question, "question")
    with dspy.context(lm=None):
        found = outer(topic="cats")
    assert (found.inner.text, found.own.answer) == ("text of outline of cats", "answer to cats")
    assert found.inner.episode_id != found.own.episode_id


def test_a_prompt_that_was_not_exported(served: Served, tales: Any, scripted: ScriptedUpstream) -> None:
    """What a program changes at run time is never replaced by what was exported: it is refused before it is sent."""
    demo = dspy.Example(topic="a", outline="b")
    for name, call in {
        "a demo": lambda: tales.plan(topic="x", demos=[demo]),
        "instructions": lambda: tales.plan(topic="x", signature=tales.plan.signature.with_instructions("Else.")),
    }.items():
        with pytest.raises(ProgramError, match="'plan' was about to send a prompt that is not the exported one"):
            call()
        assert not scripted.requests, name
    tales.plan.demos = [demo]
    with pytest.raises(ProgramError, match="it has 3 messages before the input, and the exported one has 1"):
        tales(topic="x")
    tales.plan.demos = []
    with dspy.context(adapter=dspy.JSONAdapter()):
        assert tales.plan  # the version's own adapter is used at the start of a run


def test_an_lm_without_a_model(served: Served, tales: Any, scripted: ScriptedUpstream) -> None:
    """A custom LM cannot be carried, and says so by name."""
    with dspy.context(lm=DummyLM([{"outline": "o"}])), pytest.raises(ProgramError, match="DummyLM"):
        tales(topic="x")
    assert not scripted.requests


def test_an_unexported_predictor_says_so(served: Served, tales: Any, scripted: ScriptedUpstream) -> None:
    """A predictor that was not exported is refused by its signature, and so is a direct call of an LM."""
    tales.plan = dspy.Predict("topic: str -> outline: str")
    with pytest.raises(ProgramError, match="a predictor with the signature 'topic -> outline', which tales v1"):
        tales(topic="cats")
    assert not scripted.requests
