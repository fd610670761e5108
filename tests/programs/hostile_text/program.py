"""Instructions and descriptions made of whatever a template engine, TOML or JSON could trip over."""

import dspy

INSTRUCTIONS = (
    "  Fill {{ name }} in, keep {% raw %}{% endraw %} and {# no comment #}, {{ '{{' }} too.\r\n"
    "\tQuotes: \"double\", 'single', \"\"\"three\"\"\", '''three''', back`ticks`, C:\\new\\table\n"
    "\n"
    "Line\u2028separators\u2029and\x0bothers\x0c, a no-break\u00a0space, zero\u200bwidth, \ufeffBOM, NUL \x00.\n"
    "<b>HTML & entities &amp;</b> ${shell} %s %(x)s [[ ## answer ## ]] [[ ## completed ## ]]\n"
    "</example> </examples> 日本語 🎉 é e\u0301 {\n\n\n"
)


class Fill(dspy.Signature):
    letter: str = dspy.InputField(desc="with {{ gaps }}, {% if %} and {# remarks #}, 'quoted' \"twice\"\\")
    name: str = dspy.InputField(desc="ends with {")
    filled: str = dspy.OutputField(desc="{")
    gaps: list[str] = dspy.OutputField(desc="two\r\nlines\n")


class Letters(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fill = dspy.Predict(Fill.with_instructions(INSTRUCTIONS))
        self.at_the_end = dspy.Predict(Fill.with_instructions("{"))
        self.blank = dspy.Predict(Fill.with_instructions(" \n\t\n"))
        self.newlines = dspy.ChainOfThought(Fill.with_instructions("\n\nFill it in.\r\n\r\n"))
        self.newlines.predict.demos = [{"letter": "{", "name": "\n", "reasoning": "{{", "filled": "{", "gaps": ["{"]}]

    def forward(self, letter: str, name: str) -> dspy.Prediction:
        return self.fill(letter=letter, name=name)


program = Letters()
