"""The templates of one prompt: its static messages, and the input message."""

import dspy

from t0dspy.compiler.schema import input_schema
from t0dspy.compiler.static_text import StaticText
from t0dspy.compiler.template import escape, finished, user_template
from t0dspy.errors import CompileError


def prompt_templates(path: str, signature: type[dspy.Signature], static: StaticText) -> dict[str, str]:
    """Return template name -> MiniJinja: `system`, `user`, and `demo_1_user` ... if the demos are chat turns.

    Args:
        path: DSPy's path of the predictor, for errors.
        signature: its signature.
        static: the static messages in one adapter text.

    Raises:
        CompileError: DSPy would make a content part of a static message.
    """
    if not all(isinstance(text, str) for text in (static.system, *static.turns)):
        raise CompileError.because(
            path,
            "contains the text that DSPy uses to mark images and other parts, so it would not be sent as text.",
            "Remove the marker from its instructions, descriptions or demos.",
        )
    templates = {"system": escape(static.system)}
    templates["user"] = user_template(signature, input_schema(signature), static.reminder, static.text)
    for index, turn in enumerate(static.turns):
        templates[f"demo_{index // 2 + 1}_{'assistant' if index % 2 else 'user'}"] = escape(turn)
    return {name: finished(text) for name, text in templates.items()}
