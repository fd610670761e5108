"""Check a signature that the user states for a program, and complete it from the program's code."""

import inspect
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin

import dspy
from dspy.utils.constants import IS_TYPE_UNDEFINED
from pydantic.fields import FieldInfo

from t0dspy.compiler.entry import entry_name, entry_parameters
from t0dspy.compiler.forward import ForwardReader, has_json_form, input_field, with_default
from t0dspy.compiler.function_source import Uncertain
from t0dspy.compiler.inferred import Inferred, Record, Typed, Unknown, fields_of
from t0dspy.compiler.schema import has_default, is_untyped
from t0dspy.compiler.suggestion import type_text
from t0dspy.errors import ContractError

Field = tuple[Any, FieldInfo]

_WRITTEN_AS_TEXT = "StringSignature"
"""The name that DSPy gives to a signature such as "question -> answer"."""


def completed(given: type[dspy.Signature], program: dspy.Module, reader: ForwardReader | None) -> type[dspy.Signature]:
    """Return `given` with the defaults and types of the code where it states none.

    Args:
        given: the signature that the user states.
        program: the program whose contract it is.
        reader: the reader of the program's code; None if it cannot be read.

    Raises:
        ContractError: if the code contradicts `given`.
    """
    if type(program).__module__.startswith("dspy."):
        return given
    name = f"{type(program).__name__}.{entry_name(program)}"
    _check_inputs(given, program, name)
    value = _returned(reader)
    _check_outputs(given, value, name)
    fields: dict[str, Field] = {
        **{name: _input(name, info, program, reader) for name, info in given.input_fields.items()},
        **{name: _output(name, info, value, is_open(info, given)) for name, info in given.output_fields.items()},
    }
    if all(info is given.fields[name] for name, (_, info) in fields.items()):
        return given
    return dspy.make_signature(fields, given.instructions, given.__name__)


def _check_inputs(given: type[dspy.Signature], program: dspy.Module, name: str) -> None:
    parameters = entry_parameters(program)
    named = {one.name: one for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)}
    needed = {key for key, parameter in named.items() if parameter.default is parameter.empty}
    missing, unknown = sorted(needed - set(given.input_fields)), sorted(set(given.input_fields) - set(named))
    if missing:
        raise ContractError(f"the signature lacks the input {missing[0]!r}, which {name} needs.")
    if unknown and not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        raise ContractError(f"the signature has the input {unknown[0]!r}, which {name} does not take.")


def _returned(reader: ForwardReader | None) -> Inferred:
    try:
        return reader.returned() if reader is not None else Unknown("its source is not available")
    except Uncertain as why:
        return Unknown(str(why))


def _check_outputs(given: type[dspy.Signature], value: Inferred, name: str) -> None:
    if isinstance(value, Record):
        absent = sorted(set(given.output_fields) - set(value.fields))
        if absent and not (value.is_dict and len(given.output_fields) == 1):
            raise ContractError(
                f"the signature has the output {absent[0]!r}, but {name} returns {sorted(value.fields)}."
            )
    if isinstance(value, Typed) and len(given.output_fields) > 1 and _is_plain(value.annotation):
        raise ContractError(
            f"the signature has {len(given.output_fields)} outputs, but {name} returns one value of the type "
            f"{type_text(value.annotation)}."
        )
    for field, info in given.output_fields.items():
        known = _known_output(field, value)
        if known is not None and not is_open(info, given) and not _may_be(known, info.annotation):
            stated = type_text(info.annotation)
            raise ContractError(
                f"the signature has the output {field!r} of type {stated}, but {name} returns the type "
                f"{type_text(known)}."
            )


def _input(name: str, info: FieldInfo, program: dspy.Module, reader: ForwardReader | None) -> Field:
    parameter = next((one for one in entry_parameters(program) if one.name == name), None)
    hint = reader.reader.hints_if_known.get(name) if reader is not None else None
    if parameter is None:
        return info.annotation, info
    untyped = is_untyped(info) and hint is not None and has_json_form(hint)
    defaulted = parameter.default is not inspect.Parameter.empty and not has_default(info)
    if not untyped and not defaulted:
        return info.annotation, info
    changed = dspy.InputField() if untyped else info
    if defaulted:
        changed = with_default(changed, input_field(parameter).default)
    return (hint if untyped else info.annotation), changed


def is_open(info: FieldInfo, given: type[dspy.Signature]) -> bool:
    """Return whether `given` states no type for an output; DSPy marks only inputs without a type."""
    extra = cast("Mapping[str, Any]", info.json_schema_extra)
    if IS_TYPE_UNDEFINED in extra:
        return bool(extra[IS_TYPE_UNDEFINED])
    return info.annotation is str and given.__name__ == _WRITTEN_AS_TEXT


def _output(name: str, info: FieldInfo, value: Inferred, is_untyped: bool) -> Field:
    if not is_untyped:
        return info.annotation, info
    known = _known_output(name, value)
    if known is str:
        return info.annotation, info
    annotation = known if known is not None and has_json_form(known) else Any
    optional = isinstance(value, Record) and name in value.optional
    return annotation, with_default(dspy.OutputField(), None) if optional else dspy.OutputField()


def _known_output(name: str, value: Inferred) -> Any:
    """Return the type of the output `name` that the code shows; None if it shows none."""
    if isinstance(value, Record):
        field = value.fields.get(name)
        return field.annotation if field is not None and field.annotation is not Any else None
    if isinstance(value, Typed) and value.annotation is not Any:
        return fields_of(value.annotation).get(name, value.annotation)
    return None


def _is_plain(annotation: Any) -> bool:
    return (get_origin(annotation) or annotation) in (str, int, float, bool, list, tuple, set)


def _may_be(known: Any, stated: Any) -> bool:
    """Return whether a value of the type `known` can be one of the type `stated`, as far as their classes show it."""
    options, wanted = _classes(known), _classes(stated)
    return not options or not wanted or any(_accepts(want, option) for option in options for want in wanted)


def _accepts(wanted: type, known: type) -> bool:
    return issubclass(known, wanted) or (known is int and wanted is float) or {known, wanted} <= {list, tuple, set}


def _classes(annotation: Any) -> list[type]:
    """Return the classes that a type consists of; empty unless all of them are builtin."""
    if get_origin(annotation) in (Union, UnionType):
        parts = [_classes(option) for option in get_args(annotation)]
        return [kind for part in parts for kind in part] if all(parts) else []
    if get_origin(annotation) is Literal:
        return [type(option) for option in get_args(annotation)]
    kind = get_origin(annotation) or annotation
    return [kind] if kind in (str, int, float, bool, list, tuple, set, dict, NoneType) else []
