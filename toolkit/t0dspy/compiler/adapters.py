"""Prompt forms: the adapters that optimizing, exporting, deploying and verifying share.

A served adapter writes DSPy's own ChatAdapter or JSONAdapter text. It differs from stock in three ways, all decided by
the signature alone: inputs print as the exported templates print them, `response_format` is what the gateway sends,
and demos may stand in the system message. Whatever has no input schema (tools, images, an optimizer's own signature)
falls back to stock.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import dspy
from dspy.adapters.utils import format_field_value, serialize_for_json
from dspy.clients.base_lm import BaseLM

from t0dspy.compiler.delimiters import NAMES, mark
from t0dspy.compiler.printing import Printer
from t0dspy.compiler.schema import JsonMode, input_schema, is_untyped, output_schema
from t0dspy.model import DemoPlace, PromptForm, Schema, Text

SignatureType = type[dspy.Signature]
Messages = list[dict[str, Any]]


def ServedAdapter(adapter: Text = "chat", demos: DemoPlace = "system") -> dspy.Adapter:  # noqa: N802
    """The DSPy adapter that writes prompts exactly as the gateway will serve them.

    Optimize under it, and what the optimizer measured is what production sends:

        dspy.configure(adapter=t0dspy.ServedAdapter())

    Args:
        adapter: `"chat"` for ChatAdapter text, `"json"` for JSONAdapter text.
        demos: `"system"` folds demos into the system message, so that any client of the gateway gets the full
            prompt; `"turns"` keeps DSPy's chat turns, which only a caller that sends them can be served.
    """
    return served_adapter(PromptForm(adapter, demos))


def served_adapter(form: PromptForm) -> dspy.Adapter:
    """A new adapter for `form`; its class is the same for equal forms and needs no arguments."""
    return _ADAPTERS[form]()


def stock_adapter(form: PromptForm) -> dspy.Adapter:
    """DSPy's own adapter with the text of `form`, without the second call that ChatAdapter makes on a bad answer."""
    return dspy.JSONAdapter() if form.adapter == "json" else dspy.ChatAdapter(use_json_adapter_fallback=False)


def form_of(adapter: dspy.Adapter | None) -> PromptForm | None:
    """The prompt form that `adapter` writes; None for an adapter that cannot be served."""
    if adapter is None:
        return PromptForm()
    for form, served in _ADAPTERS.items():
        if type(adapter) is served:
            return form
    stock: dict[type, PromptForm] = {dspy.ChatAdapter: PromptForm("chat"), dspy.JSONAdapter: PromptForm("json")}
    return stock.get(type(adapter))


def json_arguments(signature: SignatureType, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """`inputs` as the typed JSON arguments that the exported template takes; unknown names are left out, as in DSPy."""
    return {name: serialize_for_json(inputs[name]) for name in signature.input_fields if name in inputs}


def fold(turns: Sequence[Mapping[str, Any]]) -> str:
    """Demo turns, as DSPy formats them, as one block at the end of the system message; nothing without demos.

    The texts of demos stay as they are, so the tags around them are chosen such that none stands in a demo.
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


class _Layout(dspy.ChatAdapter):
    """What the four served adapters share. Stock formatting of demos, served formatting of the input message."""

    form: ClassVar[PromptForm]
    _printers: ClassVar[WeakKeyDictionary[SignatureType, Printer | None]] = WeakKeyDictionary()

    def format(self, signature: SignatureType, demos: list[dict[str, Any]], inputs: dict[str, Any]) -> Messages:
        if _printer(signature) is None:
            stock: Messages = super().format(signature, demos, inputs)
            return stock
        system = self.format_system_message(signature)
        turns: Messages = self.format_demos(signature, demos)
        if self.form.demos == "system":
            system, turns = system + fold(turns), []
        user = self.format_user_message_content(signature, inputs, main_request=True)
        return [{"role": "system", "content": system}, *turns, {"role": "user", "content": user}]

    def format_user_message_content(
        self,
        signature: SignatureType,
        inputs: dict[str, Any],
        prefix: str = "",
        suffix: str = "",
        main_request: bool = False,
    ) -> str:
        printer = _printer(signature)
        if main_request and printer is not None:  # a demo is static text, and reads as it does in stock DSPy
            inputs = {
                name: _passages_or_text(printer, name, info, inputs[name])
                for name, info in signature.input_fields.items()
                if name in inputs
            }
        text: str = super().format_user_message_content(signature, inputs, prefix, suffix, main_request)
        return text


def _passages_or_text(printer: Printer, name: str, info: Any, value: Any) -> str:
    if is_untyped(info) and isinstance(value, list):
        return str(format_field_value(info, value))
    return printer.text(name, value)


def _printer(signature: SignatureType) -> Printer | None:
    printers = _Layout._printers
    if signature not in printers:
        printers[signature] = _new_printer(signature)
    return printers[signature]


def _new_printer(signature: SignatureType) -> Printer | None:
    if any(_is_custom(info.annotation) for info in signature.fields.values()):
        return None
    try:
        return Printer(input_schema(signature))
    except Exception:  # pydantic raises whatever a type's own schema hook raises
        return None


def _is_custom(annotation: Any) -> bool:
    """Whether DSPy treats the type in its own way: images, tools, history ..."""
    inner = getattr(annotation, "__args__", ())
    own = isinstance(annotation, type) and issubclass(annotation, dspy.Type | dspy.History)
    return own or any(_is_custom(one) for one in inner)


class _ChatLayout(_Layout):
    def __init__(self, callbacks: Any = None, use_json_adapter_fallback: bool = False, **kwargs: Any) -> None:
        # The stock fallback would ask again in another prompt form.
        super().__init__(callbacks, use_json_adapter_fallback=use_json_adapter_fallback, **kwargs)


class _JSONLayout(_Layout, dspy.JSONAdapter):
    _formats: ClassVar[WeakKeyDictionary[SignatureType, dict[str, Any]]] = WeakKeyDictionary()

    # Workaround (dspy 3.4): DSPy assigns a wrapped `parse` to every subclass of Adapter, so the one of _Layout, a
    # ChatAdapter, would precede that of JSONAdapter; remove when DSPy wraps only the methods that a class defines.
    parse = dspy.JSONAdapter.parse

    def _prepare_response_format(self, lm: BaseLM, lm_kwargs: dict[str, Any], signature: SignatureType) -> None:
        if _printer(signature) is None:
            super()._prepare_response_format(lm, lm_kwargs, signature)  # type: ignore[no-untyped-call]
            return
        if signature not in self._formats:
            self._formats[signature] = response_format(*output_schema(signature))
        lm_kwargs["response_format"] = self._formats[signature]


def response_format(schema: Schema, mode: JsonMode) -> dict[str, Any]:
    """What the gateway sends an OpenAI-type provider for a function with output `schema` and `json_mode = mode`."""
    if mode == "on":
        return {"type": "json_object"}
    return {"type": "json_schema", "json_schema": {"name": "response", "strict": True, "schema": schema}}


class ServedChatAdapter(_ChatLayout):
    """ChatAdapter text, demos in the system message."""

    form = PromptForm("chat", "system")


class ServedJSONAdapter(_JSONLayout):
    """JSONAdapter text, demos in the system message."""

    form = PromptForm("json", "system")


class TurnsChatAdapter(_ChatLayout):
    """ChatAdapter text, demos as chat turns."""

    form = PromptForm("chat", "turns")


class TurnsJSONAdapter(_JSONLayout):
    """JSONAdapter text, demos as chat turns."""

    form = PromptForm("json", "turns")


_ADAPTERS: dict[PromptForm, type[_Layout]] = {
    adapter.form: adapter for adapter in (ServedChatAdapter, ServedJSONAdapter, TurnsChatAdapter, TurnsJSONAdapter)
}
