"""Prompt forms: the adapters that `optimize`, `export`, `deploy` and `verify` share.

A served adapter writes the text of DSPy's ChatAdapter or JSONAdapter. It differs from the stock adapter in three ways,
which depend on the signature alone: it prints inputs as the exported templates do, it sets `response_format` to what
the gateway sends, and it can put demos into the system message. A signature without an input schema (tools, images, an
optimizer's own signature) is formatted by the stock adapter.
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
    """Return the DSPy adapter that writes prompts exactly as the gateway will serve them.

    If you optimize with this adapter, production sends the same prompts that the optimizer measured:

        dspy.configure(adapter=t0dspy.ServedAdapter())

    Args:
        adapter: `"chat"` for ChatAdapter text, `"json"` for JSONAdapter text.
        demos: `"system"` folds demos into the system message, so that every client of the gateway gets the full
            prompt; `"turns"` keeps DSPy's chat turns, which the program server has to send.

    Returns:
        A new adapter for `dspy.configure` or `dspy.context`.
    """
    return served_adapter(PromptForm(adapter, demos))


def served_adapter(form: PromptForm) -> dspy.Adapter:
    """Return a new adapter for `form`; its class is the same for equal forms and takes no arguments."""
    return _ADAPTERS[form]()


def stock_adapter(form: PromptForm) -> dspy.Adapter:
    """Return DSPy's own adapter for `form`, without the second call that ChatAdapter makes after a bad answer."""
    return dspy.JSONAdapter() if form.adapter == "json" else dspy.ChatAdapter(use_json_adapter_fallback=False)


def form_of(adapter: dspy.Adapter | None) -> PromptForm | None:
    """Return the prompt form that `adapter` writes, or None if the adapter cannot be served."""
    if adapter is None:
        return PromptForm()
    for form, served in _ADAPTERS.items():
        if type(adapter) is served:
            return form
    stock: dict[type, PromptForm] = {dspy.ChatAdapter: PromptForm("chat"), dspy.JSONAdapter: PromptForm("json")}
    return stock.get(type(adapter))


def json_arguments(signature: SignatureType, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return `inputs` as the JSON arguments of the exported template; unknown names are dropped, as in DSPy."""
    return {name: serialize_for_json(inputs[name]) for name in signature.input_fields if name in inputs}


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


class _Layout(dspy.ChatAdapter):
    """The base of the four served adapters: stock formatting of demos, served formatting of the input message."""

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
        if main_request and printer is not None:  # demos are static text, formatted as in stock DSPy
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
    except Exception:  # a type's own schema hook may raise anything
        return None


def _is_custom(annotation: Any) -> bool:
    """Return whether DSPy formats the type in a special way: images, tools, history ..."""
    inner = getattr(annotation, "__args__", ())
    special = isinstance(annotation, type) and issubclass(annotation, dspy.Type | dspy.History)
    return special or any(_is_custom(argument) for argument in inner)


class _ChatLayout(_Layout):
    def __init__(self, callbacks: Any = None, use_json_adapter_fallback: bool = False, **kwargs: Any) -> None:
        # The stock fallback would repeat the call in another prompt form.
        super().__init__(callbacks, use_json_adapter_fallback=use_json_adapter_fallback, **kwargs)


class _JSONLayout(_Layout, dspy.JSONAdapter):
    _formats: ClassVar[WeakKeyDictionary[SignatureType, dict[str, Any]]] = WeakKeyDictionary()

    # Workaround (dspy 3.4): DSPy assigns a wrapped `parse` to every subclass of Adapter, so that of _Layout, a
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
    """Return what the gateway sends an OpenAI-type provider for the output `schema` and `json_mode = mode`."""
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


_OPTIONS: dict[str, Any] = {
    "use_json_adapter_fallback": True,
    "use_native_function_calling": False,
    "parallel_tool_calls": None,
}
"""The options of a stock adapter that change what it sends, and their defaults."""


def adapter_options(adapter: Any) -> dict[str, Any]:
    """Return the options of a stock `adapter` that differ from DSPy's defaults; empty for None."""
    if adapter is None or isinstance(adapter, _Layout):
        return {}
    defaults = vars(type(adapter)())
    return {
        name: getattr(adapter, name)
        for name in _OPTIONS
        if name in defaults and getattr(adapter, name) != defaults[name]
    }


def make_adapter(form: PromptForm, options: Mapping[str, Any]) -> dspy.Adapter:
    """Return a new adapter for `form`: DSPy's own with `options`, or the one that folds demos."""
    if form.demos == "system":
        return served_adapter(form)
    stock: dict[Text, Any] = {"chat": dspy.ChatAdapter, "json": dspy.JSONAdapter, "xml": dspy.XMLAdapter}
    adapter: dspy.Adapter = stock[form.adapter](**options)
    return adapter


def fallback_adapter(adapter: Any) -> dspy.Adapter:
    """Return the adapter with which DSPy asks again after an answer that `adapter` cannot parse."""
    fallback: dspy.Adapter = adapter._make_json_adapter_fallback()
    return fallback
