"""Typed values and static text, through the gateway's own MiniJinja."""

import json
from collections.abc import Iterator
from typing import Any, Optional, get_args

import dspy
import jsonschema
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.arguments import json_arguments
from support.rendering import formatted, rendered, served, tree_of
from support.strategies import AT_THE_GATEWAY, RandomSignature, floats, signatures, texts
from t0dspy.compiler import adapters
from t0dspy.compiler.schema import input_schema
from t0dspy.compiler.template import arguments_template, escape, finished
from t0dspy.errors import CompileError, GatewayError
from t0dspy.model import DemoPlace, PromptForm, Text
from t0dspy.testing import ScriptedUpstream

pytestmark = pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
"""An integer in a union of text and number is printed all the same; as an error the warning would change the value."""

CHAT = PromptForm("chat", "turns")
FORMS = [PromptForm(text, place) for text in get_args(Text) for place in get_args(DemoPlace)]
NOTHING: dict[str, Any] = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}


@pytest.fixture(scope="module")
def recorder() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as upstream:
        yield upstream


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form.adapter}-{form.demos}")
def test_the_gateway_writes_what_the_adapters_write(form: PromptForm, recorder: ScriptedUpstream) -> None:
    """For any signature, demos and inputs, the provider gets the messages of the form's adapter."""

    @AT_THE_GATEWAY
    @given(st.data(), signatures())
    def check(data: st.DataObject, random: RandomSignature) -> None:
        predict = dspy.Predict(random.signature)
        predict.demos = data.draw(st.lists(random.demo_values(), max_size=2))
        calls = data.draw(st.lists(random.input_values(), min_size=1, max_size=4))
        with served(predict, recorder, form) as gateway:
            for inputs in calls:
                filled = random.completed(inputs)
                got = gateway.messages("self", random.signature, filled)
                assert got == formatted(adapters.served_adapter(form), random.signature, predict.demos, filled)

    check()


def test_escaped_text_renders_as_itself(recorder: ScriptedUpstream) -> None:
    """Instructions and demos may hold any delimiter, control character or line end, at any place in the file."""

    @AT_THE_GATEWAY
    @given(st.lists(texts, min_size=1, max_size=8))
    def check(given_texts: list[str]) -> None:
        alone = [finished(f">{escape(text)}") for text in given_texts]
        joined = finished(
            escape(given_texts[0]) + "{{ '<' }}" + "".join(map(escape, given_texts)) + "{% if 1 %}{% endif %}"
        )
        got = rendered([(template, {}, NOTHING) for template in (*alone, joined)], recorder)
        assert got == [*(f">{text}" for text in given_texts), given_texts[0] + "<" + "".join(given_texts)]

    check()


def test_typed_inputs_reach_the_program_server_exactly(recorder: ScriptedUpstream) -> None:
    """The program function's template renders its arguments as the very JSON that the caller sent."""

    @AT_THE_GATEWAY
    @given(st.data(), signatures())
    def check(data: st.DataObject, random: RandomSignature) -> None:
        schema = input_schema(random.signature)
        template = finished(arguments_template(schema))
        arguments = json_arguments(random.signature, data.draw(random.input_values()))
        got = json.loads(rendered([(template, arguments, schema)], recorder)[0])
        assert _exact(got) == _exact(arguments)

    check()


def _exact(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def test_floats_print_as_python_prints_them(recorder: ScriptedUpstream) -> None:
    """No float changes its digits, sign or exponent on its way into a prompt."""
    predict = dspy.Predict(dspy.Signature("x: float, many: list[float] -> y"))
    with served(predict, recorder) as gateway:

        @AT_THE_GATEWAY
        @given(st.lists(floats, min_size=1, max_size=40))
        def check(values: list[float]) -> None:
            inputs = {"x": values[0], "many": values}
            text = gateway.messages("self", predict.signature, inputs)[-1]["content"]
            assert f"[[ ## x ## ]]\n{values[0]!r}\n\n[[ ## many ## ]]\n{json.dumps(values)}\n\n" in text

        check()


PASSAGES = ["one", [], ["one"], ["a", "b\nc", "«d»"], ["", "{{ x }}", "»"], ["x\r\ny", "\n"]]


def test_passages_in_an_untyped_field_print_as_in_stock(recorder: ScriptedUpstream) -> None:
    """`context, question -> answer` filled with a list of passages keeps DSPy's numbered form."""
    predict = dspy.Predict("context, question -> answer")
    with served(predict, recorder) as gateway:
        for passages in PASSAGES:
            inputs = {"context": passages, "question": "q"}
            got = gateway.messages("self", predict.signature, inputs)
            assert got == formatted(adapters.served_adapter(CHAT), predict.signature, [], inputs)


class Node(pydantic.BaseModel):
    value: float
    left: Optional["Node"] = None
    others: dict[str, "Node"] = {}


def test_recursive_models_print_in_their_declared_order(recorder: ScriptedUpstream) -> None:
    """However deep a model nests, its keys stand as declared."""
    tree = Node(value=1e-7, left=Node(value=2.5, others={"b{": Node(value=1.0), "a": Node(value=-0.0)}))
    for _ in range(15):
        tree = Node(value=0.5, left=tree)
    predict = dspy.Predict(dspy.make_signature({"tree": (Node, dspy.InputField()), "sum": (float, dspy.OutputField())}))
    with served(predict, recorder) as gateway:
        got = gateway.messages("self", predict.signature, {"tree": tree})
    assert got == formatted(adapters.served_adapter(CHAT), predict.signature, [], {"tree": tree})
    assert '{"value": 1e-07, "left": {"value": 2.5' in got[-1]["content"]


WORKING = (
    *("loop", "self_", "super", "caller", "range", "debug", "namespace", "lipsum", "items", "undefined", "defined"),
    *(
        "block",
        "macro",
        "filter",
        "recursive",
        "extends",
        "autoescape",
        "endif",
        "not_",
        "is_",
        "a__b",
        "A",
        "x1",
        "json_",
    ),
    *(
        "user",
        "system",
        "episode_id",
        "function",
        "varargs",
        "v",
        "k",
        "w",
        "s",
        "d",
        "p",
        "in",
        "and",
        "or",
        "if",
        "else",
    ),
    *("for", "set", "import", "class", "lambda", "input", "output", "string", "mapping", "join", "length", "last"),
)
REFUSED = ("true", "false", "none", "True", "None", "not", "é", "ﬁ", "名")


def _named(name: str) -> type[dspy.Signature]:
    return dspy.make_signature(
        {
            name: (Optional[str], dspy.InputField()),  # noqa: UP045
            "many": (list[Node], dspy.InputField(default=[])),
            "answer": (str, dspy.OutputField()),
        }
    )


def _inputs(name: str) -> list[dict[str, Any]]:
    return [{name: "{{ x }}"}, {name: None}, {}, {name: "a", "many": [Node(value=1.0)]}]


def test_names_that_mean_something_in_templates_print_their_value(recorder: ScriptedUpstream) -> None:
    """An optional input may be called like a function, filter or keyword of MiniJinja, given or not."""
    program = dspy.Module()
    program.steps = {name: dspy.Predict(_named(name)) for name in WORKING}
    with served(program, recorder, stages_only=True) as gateway:
        for name in WORKING:
            for inputs in _inputs(name):
                arguments = json_arguments(_named(name), inputs)
                got = gateway.request(f"steps[{name!r}]", arguments)["messages"]
                assert got == formatted(adapters.served_adapter(CHAT), _named(name), [], {"many": [], **inputs})


def test_names_that_mean_something_in_templates_reach_the_program_server(recorder: ScriptedUpstream) -> None:
    """The same inputs as one JSON object: what was not given is not there."""
    cases = []
    for name in WORKING:
        schema = input_schema(_named(name))
        template = finished(arguments_template(schema))
        cases += [(template, json_arguments(_named(name), inputs), schema) for inputs in _inputs(name)]
    got = [json.loads(text) for text in rendered(cases, recorder)]
    assert got == [arguments for _, arguments, _ in cases]


@pytest.mark.parametrize("name", REFUSED)
def test_names_that_templates_cannot_use_are_refused(name: str) -> None:
    """Literals of MiniJinja and letters beyond ASCII would fail at the gateway, so the export says it first."""
    with pytest.raises(CompileError, match=f"field '{name}': is a name .* cannot use. Rename the field."):
        tree_of(dspy.Predict(_named(name)))


def test_a_wrong_input_is_refused_by_the_gateway(recorder: ScriptedUpstream) -> None:
    """The schema that stands beside the templates is the one that the gateway checks."""
    predict = dspy.Predict(dspy.Signature("n: int -> answer"))
    _, files = tree_of(predict)
    schema = json.loads(files["schemas/app.input.json"])
    assert not jsonschema.Draft202012Validator(schema).is_valid({"n": "1"})
    with served(predict, recorder) as gateway, pytest.raises(GatewayError, match="not of type"):
        gateway.request("self", {"n": "1"})


def test_bytes_do_not_depend_on_the_run() -> None:
    """Same program in, same files out, to the byte."""
    predict = dspy.Predict(
        dspy.Signature(
            "context, tree: Node, kind: Literal['a', 'b'] -> answer: list[Node]", custom_types={"Node": Node}
        )
    )  # type: ignore[call-arg]
    assert tree_of(predict)[1] == tree_of(predict.deepcopy())[1]
