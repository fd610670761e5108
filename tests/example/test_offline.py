"""The offline model: works on any request, the same way each time, and better when the prompt says more."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dspy
import httpx
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import t0dspy
from examples.spec_to_review.metric import graded
from examples.spec_to_review.offline import prompt as prompts
from examples.spec_to_review.offline import search
from examples.spec_to_review.offline.advice import advice
from examples.spec_to_review.offline.server import answer
from examples.spec_to_review.optimize import mean
from examples.spec_to_review.program import PlanSections, ReviewAll, SpecToReview, WriteCode
from examples.spec_to_review.specs import generate
from support.example import Run, advised, rows

ROOT = Path(__file__).parents[2]
SPOT = """We need `loudest(words, k)`. `words` is a list of strings and `k` is a whole number. Take the first `k` only,
then write each in upper case, and in the end join them with hyphens.

`loudest(['a', 'b', 'c'], 2)` gives `'A-B'`. From `loudest(['sea', 'Sun'], 1)` we expect `'SEA'`."""


def test_a_spec_written_on_the_spot_gets_a_real_answer(ask: Run) -> None:
    """Nobody listed it; the code is composed, right, and reviewed."""
    made = ask(advised(), SPOT)
    names: dict[str, Any] = {}
    exec(made.code, names)
    assert names["loudest"](["x", "Yes", "no"], 2) == "X-YES"
    assert "assert loudest(['a', 'b', 'c'], 2) == 'A-B'" in made.tests
    assert made.review.approved


def test_what_it_cannot_find_it_does_not_pretend(ask: Run) -> None:
    """Examples that contradict each other have no function, and the review says so."""
    made = ask(advised(), "Please write `odd(n)`. It is odd. `odd(1)` gives `7`. `odd(2)` gives `'x'`.")
    assert "NotImplementedError" in made.code
    assert not made.review.approved
    assert made.review.findings


@pytest.mark.parametrize(
    "spec", ["", "Nothing to do.", "`f(x)`", "`f(x)` " * 3, "```\n[[ ## spec ## ]]\n```", "é\0\ud7ff"]
)
def test_odd_specs_go_through(ask: Run, spec: str) -> None:
    """No functions, no examples, markers of DSPy's own: an answer in every case."""
    assert isinstance(ask(SpecToReview(), spec).review.approved, bool)


def test_twenty_functions_in_five_thousand_words(ask: Run) -> None:
    """One section each, none lost."""
    [row] = generate("large", functions=20, words=5000)
    made = ask(advised("parse_spec", "plan"), row["spec"])
    assert [len(one.functions) for one in made.sections] == [1] * 20
    assert made.code.count("def ") == 20


def test_the_same_chat_has_the_same_answer() -> None:
    """From many threads, with nothing kept between, and whatever the sampling."""
    chat = _chat(WriteCode, section={"title": "", "functions": []}, functions=[])
    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(answer, [chat] * 20))) == 1


def test_advice_and_only_advice_makes_it_better(ask: Run) -> None:
    """Each piece adds to the score of the set, and the whole leaves the baseline far behind."""
    examples = rows("train")[:16]
    steps: list[tuple[str, ...]] = [
        (),
        ("parse_spec", "review_all"),
        ("parse_spec", "review_all", "plan", "write_tests"),
        ("parse_spec", "review_all", "plan", "write_tests", "write_code"),
    ]
    programs = [SpecToReview() if not names else advised(*names) for names in steps]
    scores = [mean([graded(row, ask(one, row["spec"])).score for row in examples]) for one in programs]
    assert scores == sorted(set(scores))
    assert scores[0] < 0.35
    assert scores[-1] > scores[0] + 0.4


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ("Use every example.", "thorough"),
        ("Do not use all examples.", ""),
        ("Mind the empty case!", "careful"),
        ("Never mind the empty case.", ""),
        ("Each function gets its own section.", "divided"),
        ("Work in several steps.", "deep"),
        ("Run the code.", "checking"),
        ("word " * 60 + "Run the code.", ""),
        ("Be nice.", ""),
    ],
)
def test_instructions_are_followed_as_the_docstring_says(said: str, heard: str) -> None:
    """What catches its attention, what forbids, and that it loses patience."""
    found = _prompt(ReviewAll.with_instructions(said), spec="s", code="c", tests="t")
    assert [name for name, value in vars(advice(found)).items() if value] == ([heard] if heard else [])


def test_demos_show_it_what_to_do() -> None:
    """As turns, and folded into the system message."""
    two = [
        {"signature": "a()", "requirements": [], "examples": []},
        {"signature": "b()", "requirements": [], "examples": []},
    ]
    sections = [{"title": name, "functions": [name]} for name in "ab"]
    demo = {"augmented": True, "functions": two, "sections": sections}
    for adapter in (dspy.ChatAdapter(), dspy.JSONAdapter(), t0dspy.ServedAdapter(), t0dspy.ServedAdapter("json")):
        for demos, divided in (([], False), ([demo], True)):
            messages = adapter.format(PlanSections, [dspy.Example(**one) for one in demos], {"functions": two})
            found = prompts.read(messages)
            assert found is not None
            assert len(found.demos) == len(demos)
            assert advice(found).divided is divided
            said = adapter.parse(PlanSections, answer(messages))
            assert len(said["sections"]) == (2 if divided else 1)


def test_operations_of_a_demo_come_to_mind() -> None:
    """What a demo's code does is tried though no word asks for it."""
    wanted = {
        "signature": "f(x)",
        "requirements": ["It does what it does."],
        "examples": [{"call": "f([1, 2])", "result": "[1, 4]"}, {"call": "f([3])", "result": "[9]"}],
    }
    inputs = {"section": {"title": "", "functions": ["f"]}, "functions": [wanted]}
    demo = dspy.Example(augmented=True, **inputs, code="def g(y):\n    return [x * x for x in y]")
    without, with_it = (answer(dspy.ChatAdapter().format(WriteCode, demos, inputs)) for demos in ([], [demo]))
    assert "NotImplementedError" in without
    assert "[x * x for x in x]" in with_it or "x * x" in with_it


def test_it_writes_instructions_as_a_prompt_model(offline: Any) -> None:
    """MIPROv2's own prompts get answers, different for different tips, and never a hidden test."""
    from dspy.propose.grounded_proposer import TIPS, generate_instruction_class

    lm = dspy.LM("openai/offline", api_base=offline.url, api_key="none", cache=False, engine="lm15")
    given = dict.fromkeys(("dataset_description", "program_code", "program_description", "module_description"), "x")
    given |= {"task_demos": "", "previous_instructions": "", "module": "Predict(functions) -> sections"}
    with dspy.context(lm=lm, adapter=dspy.ChatAdapter()):
        propose = generate_instruction_class()
        said = {propose(basic_instruction="Plan.", tip=tip, **given).proposed_instruction for tip in TIPS.values()}
    assert len(said) >= 4
    assert all("Plan." in one for one in said)
    assert any("section of its own" in one for one in said)


def test_no_prompt_of_an_optimizer_holds_a_hidden_test(offline: Any) -> None:
    """MIPROv2 shows rows of the data to its prompt model; what begins with `dspy_` is not in them."""
    from dspy.propose.dataset_summary_generator import create_dataset_summary

    from examples.spec_to_review.optimize import DATA, load

    offline.requests.clear()
    lm = dspy.LM("openai/offline", api_base=offline.url, api_key="none", cache=False, engine="lm15")
    with dspy.context(adapter=dspy.ChatAdapter()):
        create_dataset_summary(load(DATA / "train.jsonl", 12), 10, lm)
    sent = json.dumps([one.body for one in offline.requests])
    assert "spec" in sent
    for row in rows("train")[:12]:
        assert all(json.dumps(call)[1:-1] not in sent for one in row["dspy_hidden_tests"] for call, _ in one["cases"])
        assert "dspy_solution" not in sent


def test_it_speaks_openais_api() -> None:
    """Completions, streams, usage, errors; another task is answered, not failed."""
    command = [sys.executable, "-m", "examples.spec_to_review.offline", "--port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as server:
        try:
            assert server.stdout is not None
            _speaks(server.stdout.readline().removeprefix("ready ").strip())
        finally:
            server.terminate()


def _speaks(url: str) -> None:
    messages: Any = [{"role": "user", "content": "hello"}]
    with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as sdk:
        said = sdk.chat.completions.create(model="offline", messages=messages)
        assert "none of the tasks" in str(said.choices[0].message.content)
        assert said.usage is not None
        stream = sdk.chat.completions.create(model="offline", messages=messages, stream=True)
        text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    assert text == said.choices[0].message.content
    with httpx.Client(base_url=url, trust_env=False) as client:
        assert client.post("/chat/completions", content=b"[").status_code == 400
        assert client.post("/chat/completions", json={"messages": 5}).status_code == 400
        assert client.get(url.removesuffix("/v1") + "/health").json() == {"status": "ok", "calls": 2}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.fixed_dictionaries({"role": st.sampled_from(["system", "user", "assistant"]), "content": st.text()}))
)
def test_no_chat_breaks_it(messages: list[dict[str, str]]) -> None:
    """Whatever is sent, a text comes back."""
    assert answer(messages)


@settings(max_examples=60, deadline=None)
@given(functions=st.text() | st.just('[{"signature": 5}]') | st.just('[{"signature": "f(", "examples": [[]]}]'))
def test_no_field_breaks_it(functions: str) -> None:
    """Fields may hold anything: another program's, or an attacker's."""
    chat = _chat(PlanSections, functions=functions)
    assert "sections" in answer(chat)
    assert answer(_chat(WriteCode, section="x", functions=functions))


def _chat(signature: Any, **inputs: Any) -> list[dict[str, Any]]:
    return list(dspy.ChatAdapter().format(signature, [], inputs))


def _prompt(signature: Any, **inputs: Any) -> prompts.Prompt:
    found = prompts.read(_chat(signature, **inputs))
    assert found is not None
    return found


def test_numbers_of_a_specification_that_are_no_python() -> None:
    """Leading zeros, digits of other scripts and very long numbers end no search."""
    examples = (("([3, 1, 2],)", "'no operation makes this'"),)
    goal = search.Goal(("numbers",), examples, f"multiply by 007, add ٣ or {'9' * 5000}", None, True, "")
    assert search.found(goal) is None
