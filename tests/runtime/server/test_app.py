"""The program server, called as the gateway calls it."""

import datetime
import json

import pytest

from support.served import LyingFront, ProgramServer, Served, answer, asked, at_once, booking_agent, chat, failure
from support.stack import wait_until
from t0dspy.testing import RecordedRequest, Reply, ScriptedUpstream

NAUGHTY = "naughty/v1"


def test_a_run_is_one_episode_of_one_version(served: Served, server: ProgramServer) -> None:
    """The completion's id is the stages' episode, and its usage is theirs together."""
    response = server.run("tales/v2", arguments={"topic": "cats"})
    assert answer(response) == {"text": "text of NEW outline of cats"}
    body = response.json()
    assert body["usage"] == {"prompt_tokens": 2, "completion_tokens": 2, "total_tokens": 4}
    assert served.stages(body["id"]) == [["tales__plan", "v2", "pinned"], ["tales__write", "v2", "pinned"]]


def test_through_the_gateway(served: Served) -> None:
    """Any client calls one function; SQL finds the stages through the completion's id."""
    response = served.call("tales", {"topic": "cats"}, variant_name="v2")
    assert response.json()["output"]["parsed"] == {"text": "text of NEW outline of cats"}
    inference = response.json()["inference_id"]
    join = "INNER JOIN ChatInference AS c ON toString(c.episode_id) = JSONExtractString(m.raw_response, 'id')"
    stages = f"SELECT c.function_name FROM ModelInference AS m {join} WHERE m.inference_id = '{inference}'"
    assert sorted(served.rows(stages)) == [["tales__plan"], ["tales__write"]]


def test_streaming(served: Served, server: ProgramServer) -> None:
    """The answer comes in one piece, in OpenAI's chunks."""
    response = server.run("tales/v1", arguments={"topic": "cats"}, stream=True)
    lines = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    chunks = [json.loads(line) for line in lines[:-1]]
    assert lines[-1] == "[DONE]"
    assert json.loads(chunks[0]["choices"][0]["delta"]["content"]) == {"text": "text of outline of cats"}
    assert chunks[-1]["usage"]["total_tokens"] == 4
    streamed = served.call("tales", {"topic": "cats"}, variant_name="v1", stream=True)
    assert "text of outline of cats" in streamed.text


def test_typed_inputs_and_outputs(server: ProgramServer, scripted: ScriptedUpstream) -> None:
    """The program gets Python values; its answer has the names that the exported schema has."""
    scripted.script = chat(author='{"fullName": "Ada", "age": 36}')
    response = server.run("library/v1", arguments={"title": "Notes", "written": "1843-10-01"})
    assert answer(response) == {"author": {"fullName": "Ada", "age": 36}}
    assert asked(scripted.requests[0])["written"] == str(datetime.date(1843, 10, 1))
    assert answer(server.run("library/v1", arguments={"title": "Notes"}))


def test_a_single_predictor_with_demos(served: Served, server: ProgramServer, scripted: ScriptedUpstream) -> None:
    """Its demos go out as turns; where its function is of type chat, its own text comes back."""
    assert answer(server.run("asker/v1", arguments={"question": "a?"})) == {"answer": "answer to a?"}
    assert [one["role"] for one in scripted.requests[0].body["messages"]] == ["system", "user", "assistant", "user"]
    scripted.script = chat(answer="as it was said")
    response = server.run("mixed/v2", arguments={"question": "a?"})
    assert response.json()["choices"][0]["message"]["content"] == chat(answer="as it was said")
    through = served.call("mixed", {"question": "a?"}).json()
    assert through["content"] == [{"type": "text", "text": chat(answer="as it was said")}]


def test_who_may_ask_and_for_what(server: ProgramServer) -> None:
    """Each refusal has its status and says what is wrong."""
    assert failure(server.run("tales/v1", key="wrong", arguments={}))[:2] == (401, "unauthorized")
    status, kind, text = failure(server.run("tales/v9", arguments={}))
    assert (status, kind) == (404, "unknown_program")
    assert "tales/v1" in text
    assert failure(server.run("tales/v1", messages=[]))[0] == 400
    assert failure(server.run("tales/v1", messages=[{"role": "user", "content": "plain"}]))[0] == 400
    assert server.get("/live").json() == {"live": True}
    ready = server.get("/ready").json()
    assert ready["workers"] == len({name.partition("/")[0] for name in ready["programs"]})


def test_programs_that_misbehave(server: ProgramServer) -> None:
    """One clear error each; the server goes on, and its log holds nothing of the user's."""
    status, kind, text = failure(server.run(NAUGHTY, arguments={"topic": "raise"}))
    assert (status, kind) == (500, "KeyError")
    assert "secret" not in text
    _, kind, text = failure(server.run(NAUGHTY, arguments={"topic": "wrong field"}))
    assert (kind, "returned no 'text'" in text) == ("ProgramError", True)
    _, _, text = failure(server.run(NAUGHTY, arguments={"topic": "wrong type"}))
    assert "text breaks 'type'" in text
    assert answer(server.run(NAUGHTY, arguments={"topic": "ok then"}))
    assert "ok then" not in server.said()
    assert "secret" not in server.said()
    traces = [one for one in server.events("run failed") if "traceback" in one]
    assert traces[0]["traceback"][0] == "KeyError"
    assert "in misbehave" in traces[0]["traceback"][-1]


def test_threads_that_leak(served: Served, server: ProgramServer, scripted: ScriptedUpstream) -> None:
    """A predictor called in a thread of its own, or after its run, belongs to no run and is not answered."""
    assert answer(server.run(NAUGHTY, arguments={"topic": "leak"}))
    assert answer(server.run(NAUGHTY, arguments={"topic": "thread"}))
    wait_until(lambda: len(server.events("uncaught exception in a thread")) == 2)
    assert len(scripted.requests) == 4
    assert not [one for one in scripted.requests if "leaked" in str(one.body)]


def test_a_stage_that_does_not_parse(server: ProgramServer, scripted: ScriptedUpstream) -> None:
    """The run fails as a provider would, naming the stage, without what the model said."""
    scripted.script = "private words"
    status, kind, text = failure(server.run("tales/v1", arguments={"topic": "cats"}))
    assert (status, kind) == (502, "stage_not_parsed")
    assert text.startswith("stage 'plan' of tales v1: the model's answer (inference ")
    assert "private" not in text + server.said()
    assert len(scripted.requests) == 2  # the second call is DSPy's JSON fallback


def test_a_stage_that_fails(server: ProgramServer, scripted: ScriptedUpstream) -> None:
    """The caller gets the provider's words in one sentence, and a final error is not repeated."""
    scripted.script = Reply("the key is wrong", status=401)
    status, kind, text = failure(server.run("tales/v1", arguments={"topic": "cats"}))
    assert (status, kind) == (502, "stage_failed")
    assert text == (
        "a stage of tales v1 failed, because the provider rejected the API key (HTTP 401): the key is wrong"
    )
    assert len(scripted.requests) == 1


def test_react_tools_run_once(
    served: Served, scripted: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A tool with side effects runs exactly once within a run, also when a later stage is retried."""
    effects = tmp_path_factory.mktemp("effects") / "log"
    failed: list[int] = []

    def agent(request: RecordedRequest) -> str | Reply:
        if "observation_0" in str(request.body["messages"]) and not failed:
            failed.append(1)
            return Reply("try again", status=500)
        return booking_agent(request)

    scripted.script = agent
    with ProgramServer(served, "--workers=1", SIDE_EFFECTS=str(effects)) as server:
        assert answer(server.run("agent/v1", arguments={"request": "a room"})) == {"result": "done"}
    assert effects.read_text() == "booked 7\n"


def test_a_stage_answered_by_another_variant(served: Served) -> None:
    """A gateway that answers a pinned call with another variant fails the run."""
    with LyingFront(served.url) as front, ProgramServer(served, "--workers=1", gateway_url=front.url) as server:
        status, kind, text = failure(server.run("tales/v1", arguments={"topic": "cats"}))
    assert (status, kind) == (502, "stage_failed")
    assert "was asked for v1, but v2 answered" in text


def test_two_hundred_at_once(served: Served) -> None:
    """Each run is pure and in one episode, nobody gets another's answer, and the shares are right within chance."""
    responses = at_once([lambda at=at: served.call("tales", {"topic": f"topic {at}."}) for at in range(200)])
    variants = []
    for at, response in enumerate(responses):
        assert response.status_code == 200, response.text
        body = response.json()
        mark = "NEW " if body["variant_name"] == "v2" else ""
        assert body["output"]["parsed"] == {"text": f"text of {mark}outline of topic {at}."}
        variants.append(body["variant_name"])
    assert 100 - 29 <= variants.count("v1") <= 100 + 29  # four standard deviations
    rows = served.rows(PURITY)
    assert rows
    assert all(row[0] == "2" and row[1] == row[2] for row in rows)


PURITY = """
SELECT count(), arrayStringConcat(arraySort(groupUniqArray(stage.variant_name)), ','), any(run.variant_name)
FROM (
    SELECT i.variant_name AS variant_name, JSONExtractString(m.raw_response, 'id') AS episode
    FROM JsonInference AS i INNER JOIN ModelInference AS m ON m.inference_id = i.id
    WHERE i.function_name = 'tales' AND episode != ''
) AS run
INNER JOIN ChatInference AS stage ON toString(stage.episode_id) = run.episode
GROUP BY run.episode
"""


def test_what_cannot_be_run_is_refused_by_name(served: Served, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Code that no longer fits, or that is not there, takes nothing else down."""
    apps = tmp_path_factory.mktemp("apps")
    (apps / "stories.py").write_text(CHANGED, encoding="utf-8")
    with ProgramServer(served, "--workers=1", PYTHONPATH=str(apps)) as server:
        status, kind, text = failure(server.run("tales/v1", arguments={"topic": "cats"}))
        assert (status, kind) == (501, "program_refused")
        assert text.startswith(
            "tales/v1 cannot be run: the code no longer fits tales v1: the inputs of 'plan' are different"
        )
        gone = failure(server.run("both/v1", arguments={}))
        assert gone[2].startswith("both/v1 cannot be run: stories has no 'both'")
        assert answer(server.run("asker/v1", arguments={"question": "a?"}))
    warned = server.events("the code changed since the export")
    assert "asker/v1" in [one["program"] for one in warned]


CHANGED = """
import dspy

class Stories(dspy.Module):
    def __init__(self):
        super().__init__()
        self.plan = dspy.Predict("subject: str -> outline: str")
        self.write = dspy.Predict("outline: str -> text: str")

    def forward(self, topic: str):
        return self.write(outline=self.plan(subject=topic).outline)

def asker():
    return dspy.Predict("question: str -> answer: str")

stories = Stories()
"""


def test_the_key_is_needed(served: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a key there is no server."""
    from t0dspy.errors import SettingsError
    from t0dspy.runtime.server.start import run_server

    with pytest.raises(SettingsError, match="T0DSPY_PROGRAMS_KEY is not set"):
        run_server(served.configs)
