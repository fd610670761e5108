"""The served adapters read an answer as DSPy's own adapters do."""

import dspy
import pytest

from support.corpus import EVERY_FORM
from t0dspy.compiler import adapters
from t0dspy.model import PromptForm
from t0dspy.testing import ScriptedUpstream

ANSWERS = {
    "chat": "[[ ## verdict ## ]]\nfine\n\n[[ ## level ## ]]\n0.5\n\n[[ ## completed ## ]]\n",
    "json": '```json\n{"verdict": "fine", "level": 0.5,}\n```',
    "xml": "Sure.\n<verdict>\nfine\n</verdict>\n\n<level>\n0.5\n</level>\n",
}


@pytest.mark.parametrize("form", EVERY_FORM, ids=lambda form: f"{form.adapter}-{form.demos}")
def test_an_answer_in_the_forms_own_text_is_read(form: PromptForm, upstream: ScriptedUpstream) -> None:
    """An answer goes to the parser of the adapter whose text was sent."""
    upstream.script = ANSWERS[form.adapter]
    lm = dspy.LM("openai/m", api_base=upstream.url, api_key="none", cache=False, num_retries=0, engine="lm15")
    with dspy.context(lm=lm, adapter=adapters.served_adapter(form)):
        prediction = dspy.Predict("reading: float -> verdict: str, level: float")(reading=1.0)
    assert (prediction.verdict, prediction.level) == ("fine", 0.5)
    assert len(upstream.requests) == 1
