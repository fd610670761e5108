"""Read the inputs and outputs of a program from the source of its `forward` or `aforward`."""

import ast
import copy
import inspect
from collections.abc import Iterator
from typing import Any, cast

import dspy
import pydantic
from dspy.utils.exceptions import DSPyError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from t0dspy.compiler.entry import entry_function, entry_parameters
from t0dspy.compiler.expressions import FunctionReader
from t0dspy.compiler.function_source import ContractOf, Uncertain
from t0dspy.compiler.inferred import NOTHING, Inferred, Typed, Unknown
from t0dspy.compiler.program_signature import ProgramSignature

Fields = dict[str, tuple[Any, FieldInfo]]
"""Name -> (type, field), as `dspy.make_signature` takes them."""

VALUE = "answer"
"""The output field of a program that returns a value other than a prediction, if the value is no predictor's field."""


class ForwardReader:
    """Read inputs and outputs from the source of the method that a call of a program runs."""

    def __init__(self, program: dspy.Module, contract_of: ContractOf) -> None:
        """Parse the method of `program`; `contract_of` returns the contract of a submodule.

        Raises:
            Uncertain: if it has no source, or a call may do something other than this method.
        """
        function = entry_function(program)
        if function is None:
            raise Uncertain("its `forward` has no source to read")
        if type(program).__call__ is not dspy.Module.__call__:
            raise Uncertain("its class has a `__call__` of its own")
        self.program, self.contract_of = program, contract_of
        self.reader = FunctionReader(function, program, contract_of)
        self.name = function.__name__

    def contract(self) -> ProgramSignature:
        """Return the inputs and outputs. Raises Uncertain."""
        inputs = self.inputs()
        outputs = self.outputs(inputs)
        if inputs.keys() & outputs.keys():
            return ProgramSignature(self._signature(inputs), self._signature(outputs))
        return ProgramSignature.of(self._signature({**inputs, **outputs}))

    def _signature(self, fields: Fields) -> type[dspy.Signature]:
        return dspy.make_signature(copy.deepcopy(fields), signature_name=type(self.program).__name__)

    def inputs(self) -> Fields:
        """Return the input fields. Raises Uncertain."""
        hints = self.reader.hints
        fields: Fields = {}
        for parameter in entry_parameters(self.program):
            if parameter.kind is parameter.VAR_KEYWORD:
                fields = {**fields, **_without(self._passed_on(parameter.name), fields)}
            elif parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                field = input_field(parameter)
                kind = hints.get(parameter.name)
                if kind is None:
                    fields[parameter.name] = self._type_by_use(parameter.name, field)
                elif parameter.default is parameter.empty or has_json_form(kind):
                    fields[parameter.name] = (kind, field)
            else:
                raise Uncertain(f"`{self.name}` takes *{parameter.name}")
        return fields

    def outputs(self, inputs: Fields) -> Fields:
        """Return the output fields. Raises Uncertain."""
        value = self.returned()
        if isinstance(value, Unknown):
            raise Uncertain(value.reason)
        if isinstance(value, Typed):
            name = value.name if value.name and value.name not in inputs else VALUE
            return {name: _output(value)}
        return {name: _output(typed, optional=name in value.optional) for name, typed in value.fields.items()}

    def returned(self) -> Inferred:
        """Return what the method returns. Raises Uncertain if it is a generator or returns nothing."""
        value = self.reader.returned()
        if value == NOTHING:
            raise Uncertain(f"`{self.name}` has no `return` with a value")
        return value

    def _type_by_use(self, name: str, field: FieldInfo) -> tuple[Any, FieldInfo]:
        """Return the type of a parameter without a hint: that of the predictor inputs that receive it unchanged."""
        uses = list(self._uses(name))
        if not uses or self.reader.is_assigned(name) or any(info.annotation != uses[0].annotation for info in uses):
            return Any, field
        return uses[0].annotation, with_default(uses[0], field.default)

    def _uses(self, name: str) -> Iterator[FieldInfo]:
        for contract, call in self._calls():
            for word in call.keywords:
                if isinstance(word.value, ast.Name) and word.value.id == name:
                    info = contract.input_fields.get(word.arg or "")
                    if info is not None:
                        yield info

    def _calls(self) -> Iterator[tuple[ProgramSignature, ast.Call]]:
        """Yield the calls of submodules with the contracts of these."""
        for node in self.reader.walk():
            for module in self.reader.called_modules(node) if isinstance(node, ast.Call) else ():
                try:
                    contract = self.contract_of(module)
                except Uncertain:
                    continue
                if isinstance(node, ast.Call):
                    yield contract, node

    def _passed_on(self, name: str) -> Fields:
        """Return the inputs that reach the program through `**name`: those of the submodules that get all of them."""
        fields: Fields = {}
        followed: list[ast.AST] = []
        for contract, call in self._calls():
            spread = [word.value for word in call.keywords if word.arg is None and _is_name(word.value, name)]
            followed += spread
            given = {word.arg for word in call.keywords}
            wanted = {key: info for key, info in contract.input_fields.items() if spread and key not in given}
            fields |= {key: (info.annotation, info) for key, info in wanted.items() if key not in fields}
        for node in self.reader.walk():
            field = _taken(node, name)
            if field is not None:
                followed.append(field.owner)
                fields.setdefault(field.name, (Any, field.info))
        loose = [node for node in self.reader.walk() if _is_name(node, name) and node not in followed]
        if loose:
            raise Uncertain(f"`{self.name}` takes **{name} and uses it in a way that shows no names")
        return fields


class _Taken:
    """A field that `forward` takes from its keyword arguments by name."""

    def __init__(self, owner: ast.AST, name: str, info: FieldInfo) -> None:
        self.owner, self.name, self.info = owner, name, info


def _taken(node: ast.AST, name: str) -> _Taken | None:
    """Return the field of `kwargs["field"]`, `kwargs.get("field", default)` or `kwargs.pop("field", default)`."""
    if isinstance(node, ast.Subscript) and _is_name(node.value, name) and isinstance(node.slice, ast.Constant):
        return _Taken(node.value, str(node.slice.value), _input())
    call = node if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else None
    if call is None or not isinstance(call.func, ast.Attribute) or not _is_name(call.func.value, name):
        return None
    key = call.args[0] if call.args else None
    if call.func.attr not in ("get", "pop") or not isinstance(key, ast.Constant):
        return None
    default = call.args[1] if len(call.args) > 1 else None
    required = call.func.attr == "pop" and default is None
    value = default.value if isinstance(default, ast.Constant) else None
    return _Taken(call.func.value, str(key.value), _input() if required else _input(value))


def input_field(parameter: inspect.Parameter) -> FieldInfo:
    """Return the input field for a parameter; a default without a JSON form is recorded as null.

    The code's own default applies whenever a caller omits the input. The recorded value only makes it optional.
    """
    if parameter.default is parameter.empty:
        return _input()
    try:
        pydantic.TypeAdapter(type(parameter.default)).dump_python(parameter.default, mode="json")
    except (pydantic.errors.PydanticSchemaGenerationError, pydantic.ValidationError, ValueError, TypeError):
        return _input(None)
    return _input(parameter.default)


def _input(default: Any = PydanticUndefined) -> FieldInfo:
    return cast("FieldInfo", dspy.InputField(default=default))


def has_json_form(annotation: Any) -> bool:
    """Return whether values of the type can be sent as JSON."""
    try:
        pydantic.TypeAdapter(annotation).json_schema(mode="serialization")
    except (pydantic.errors.PydanticUserError, DSPyError, TypeError, NameError, AttributeError):
        return False
    return True


def _output(value: Typed, *, optional: bool = False) -> tuple[Any, FieldInfo]:
    annotation = value.annotation if has_json_form(value.annotation) else Any
    info = value.info if value.info is not None and annotation is value.annotation else dspy.OutputField()
    return annotation, with_default(info, None) if optional else info


def with_default(info: FieldInfo, default: Any) -> FieldInfo:
    """Return a copy of `info` with a default."""
    changed = copy.copy(info)
    changed.default = default
    # Workaround (pydantic 2): a model that is made from the field reads these attributes instead of `default`; remove
    # when `FieldInfo` has a public copy with changes.
    changed._attributes_set = {**info._attributes_set, "default": default}
    return changed


def _without(fields: Fields, known: Fields) -> Fields:
    return {name: field for name, field in fields.items() if name not in known}


def _is_name(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name
