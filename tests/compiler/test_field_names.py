"""Names of fields that mean something to DSPy or to a template engine."""

import dspy
import pytest

from t0dspy.compiler.introspect import TAKEN_NAMES, predictors_of
from t0dspy.compiler.schema import input_schema
from t0dspy.compiler.template import arguments_template, user_template
from t0dspy.errors import CompileError

pytestmark = pytest.mark.filterwarnings("ignore:Field name .* shadows an attribute:UserWarning")


@pytest.mark.parametrize("name", sorted(TAKEN_NAMES))
def test_an_input_that_dspy_takes_for_itself_is_refused_by_name(name: str) -> None:
    """DSPy reads such a keyword as its own, so that the value would reach only the gateway's prompt."""
    with pytest.raises(CompileError, match=f"field '{name}': is a keyword of dspy.Predict"):
        predictors_of(dspy.Predict(f"{name}: str -> answer: str"))


@pytest.mark.parametrize("name", ["range", "dict", "namespace", "debug"])
def test_an_optional_input_called_like_a_function_of_the_engine_can_be_left_out(name: str) -> None:
    """MiniJinja's own functions are always defined, so the template must ask for a value."""
    signature = dspy.Signature(f"{name}: str | None -> answer: str")
    schema = input_schema(signature)
    for template in (user_template(signature, schema, ""), arguments_template(schema)):
        assert f"{name} is defined" not in template
        assert f"{name} is none or {name} is boolean" in template
