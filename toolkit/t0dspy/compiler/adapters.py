"""Prompt forms: the adapters that `optimize`, `export`, `deploy` and `verify` share.

With demos as chat turns, a prompt form is one of DSPy's own adapters. With demos in the system message, it is a
subclass of that adapter which moves the demo turns there. Everything else is DSPy's own code in both cases.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, cast

import dspy

from t0dspy.compiler.delimiters import NAMES, mark
from t0dspy.model import DemoPlace, PromptForm, Text

SignatureType = type[dspy.Signature]
Messages = list[dict[str, Any]]


def ServedAdapter(adapter: Text = "chat", demos: DemoPlace = "system") -> dspy.Adapter:  # noqa: N802
    """Return the DSPy adapter that writes prompts exactly as the gateway will serve them.

    If you optimize with this adapter, production sends the same prompts that the optimizer measured:

        dspy.configure(adapter=t0dspy.ServedAdapter())

    Args:
        adapter: `"chat"` for ChatAdapter text, `"json"` for JSONAdapter text, `"xml"` for XMLAdapter text.
        demos: `"system"` folds demos into the system message, so that every client of the gateway gets the full
            prompt; `"turns"` returns DSPy's own adapter, whose chat turns the program server has to send.

    Returns:
        A new adapter for `dspy.configure` or `dspy.context`.
    """
    return served_adapter(PromptForm(adapter, demos))


def served_adapter(form: PromptForm) -> dspy.Adapter:
    """Return a new adapter for `form`; its class is the same for equal forms and takes no arguments."""
    return make_adapter(form, {})


def make_adapter(form: PromptForm, options: Mapping[str, Any]) -> dspy.Adapter:
    """Return a new adapter for `form` with `options`, as `adapter_options` returns them."""
    adapter: dspy.Adapter = _ADAPTERS[form](**options)
    return adapter


def adapters_of(form: PromptForm, options: Mapping[str, Any]) -> list[dspy.Adapter]:
    """Return the adapters that write a program's prompts: that of `form`, then that of the JSON fallback if it asks."""
    adapter = make_adapter(form, options)
    asks_again = form.adapter != "json" and getattr(adapter, "use_json_adapter_fallback", False)
    return [adapter, fallback_adapter(adapter)] if asks_again else [adapter]


def fallback_adapter(adapter: Any) -> dspy.Adapter:
    """Return the adapter with which DSPy asks again after an answer that `adapter` cannot parse."""
    make = getattr(adapter, "_make_json_adapter_fallback", dspy.JSONAdapter)  # DSPy 3.3 has no such method
    fallback: dspy.Adapter = make()
    return fallback


def form_of(adapter: dspy.Adapter | None) -> PromptForm | None:
    """Return the prompt form that `adapter` writes, or None if the adapter cannot be served."""
    if adapter is None:
        return PromptForm()
    return next((form for form, kind in _ADAPTERS.items() if type(adapter) is kind), None)


def adapter_options(adapter: Any) -> dict[str, Any]:
    """Return the options of an `adapter` with a prompt form that differ from DSPy's defaults; empty for None."""
    if adapter is None:
        return {}
    defaults = vars(type(adapter)())
    return {
        name: getattr(adapter, name)
        for name in _OPTIONS
        if name in defaults and getattr(adapter, name) != defaults[name]
    }


def fold(turns: Sequence[Mapping[str, Any]]) -> str:
    """Return the demo turns that DSPy formats as one block for the end of the system message, "" without demos.

    The texts of the demos are not escaped. Therefore the tags around them are chosen so that no demo contains one.
    """
    if not turns:
        return ""
    texts = [turn["content"].strip() for turn in turns]
    forged = mark("\n".join(texts))
    examples, example, given, answer = (f"{name}{forged}" for name in NAMES)
    shown = "\n".join(
        f"<{example}>\n<{given}>\n{user}\n</{given}>\n<{answer}>\n{assistant}\n</{answer}>\n</{example}>"
        for user, assistant in zip(texts[::2], texts[1::2], strict=True)
    )
    lead = "Here are examples of this task: each input is what a user sends, each output is the response to give."
    return f"\n\n{lead}\n\n<{examples}>\n{shown}\n</{examples}>"


class _Folding:
    """Move the demo turns of a stock adapter into its system message."""

    form: ClassVar[PromptForm]

    def format(self, signature: SignatureType, demos: list[dict[str, Any]], inputs: dict[str, Any]) -> Messages:
        stock: Messages = cast("Any", super()).format(signature, demos, inputs)
        system, *turns, user = stock
        only_demos = cast("Any", self)._get_history_field_name(signature) is None
        if not only_demos or not all(isinstance(message["content"], str) for message in (system, *turns)):
            return stock  # a conversation, or parts such as images, cannot be folded
        return [{"role": "system", "content": system["content"] + fold(turns)}, user]

    def _make_json_adapter_fallback(self) -> dspy.Adapter:
        stock = cast("Any", super())._make_json_adapter_fallback()
        return make_adapter(PromptForm("json", "system"), adapter_options(stock))


class ServedChatAdapter(_Folding, dspy.ChatAdapter):
    """ChatAdapter text, demos in the system message."""

    form = PromptForm("chat", "system")


class ServedJSONAdapter(_Folding, dspy.JSONAdapter):
    """JSONAdapter text, demos in the system message."""

    form = PromptForm("json", "system")


class ServedXMLAdapter(_Folding, dspy.XMLAdapter):
    """XMLAdapter text, demos in the system message."""

    form = PromptForm("xml", "system")


_ADAPTERS: Mapping[PromptForm, Any] = {
    PromptForm("chat"): dspy.ChatAdapter,
    PromptForm("json"): dspy.JSONAdapter,
    PromptForm("xml"): dspy.XMLAdapter,
    **{kind.form: kind for kind in (ServedChatAdapter, ServedJSONAdapter, ServedXMLAdapter)},
}

_OPTIONS = ("use_json_adapter_fallback", "use_native_function_calling", "parallel_tool_calls")
"""The options of an adapter that change what it sends."""
