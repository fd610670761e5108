"""Wire equality against DSPy's own calls on the same inputs: what 400 inputs take beyond what 50 take."""

import tempfile
from collections import Counter
from pathlib import Path

import dspy

import t0dspy
from benchmarks import Row, median_seconds, ratio
from localkit.scripted_upstream import ScriptedUpstream
from t0dspy.parity.inputs import inputs_of
from t0dspy.parity.runs import quiet_dspy

LESS, MORE, MOST = 50, 400, 3


def measure() -> list[Row]:
    program = dspy.ChainOfThought("question, context: list[str], limit: int -> answer, sure: bool")
    with tempfile.TemporaryDirectory() as place:
        configs = Path(place) / "configs"
        t0dspy.export(program, configs, name="ask", model="openai::gpt-4o-mini", adapter="json", verify=False)

        def verify(inputs: int) -> float:
            return median_seconds(lambda: t0dspy.verify("ask", configs=configs, program=program, inputs=inputs), 3)

        with ScriptedUpstream() as upstream, quiet_dspy():
            lm = dspy.LM("openai/gpt-4o-mini", api_base=upstream.url, api_key="none", cache=False, num_retries=0)

            def call(inputs: int) -> float:
                return median_seconds(lambda: _call(program.predict, lm, inputs), 3)

            verified, called = verify(MORE) - verify(LESS), call(MORE) - call(LESS)
    return [ratio("wire equality against DSPy's own calls", verified, called, MOST)]


def _call(predict: dspy.Predict, lm: dspy.LM, inputs: int) -> None:
    with dspy.context(lm=lm, adapter=dspy.JSONAdapter(), disable_history=True):
        for given in inputs_of(predict, [], inputs, Counter()):
            try:
                predict(**given.values)
            except Exception as error:  # the scripted answer need not fit
                str(error)
