"""Describe the values that a program's code produces, as far as its source shows them."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import NoneType, UnionType
from typing import Any, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

import dspy
import pydantic
from pydantic.fields import FieldInfo

from t0dspy.compiler.program_signature import ProgramSignature


@dataclass(frozen=True)
class Unknown:
    """A value of which the source shows nothing."""

    reason: str


@dataclass(frozen=True)
class Typed:
    """A value with a known type, which is Any if only its existence is known."""

    annotation: Any
    info: FieldInfo | None = None
    """The predictor's output field that the value comes from unchanged."""
    name: str | None = None
    """The name of that field."""
    items: Record | None = None
    """The predictions that a list holds, if they are known."""
    is_empty: bool = False
    """Whether it is written as `[]`."""


@dataclass(frozen=True)
class Record:
    """A dspy.Prediction or a dict with known fields."""

    fields: Mapping[str, Typed]
    optional: frozenset[str] = field(default_factory=frozenset)
    """The fields that some branches leave out."""
    is_dict: bool = False
    """Whether it is a dict in every branch, so that it can also be the value of one output."""

    def extended(self, name: str, value: Typed, *, always: bool) -> Record:
        """Return the record after an assignment to the field `name`, which does not happen in every run."""
        known = self.fields.get(name)
        fields = {**self.fields, name: value if known is None or always else join_types(known, value)}
        absent = known is None or name in self.optional
        optional = self.optional | {name} if absent and not always else self.optional - {name}
        return Record(fields, optional, self.is_dict)


Inferred = Unknown | Typed | Record

NOTHING = Typed(NoneType)

NESTED = dict[str, Any]
"""The type of a prediction that is a field of another one."""


def output_record(signature: ProgramSignature) -> Record:
    """Return the prediction of a module whose contract is `signature`."""
    return Record({name: Typed(info.annotation, info, name) for name, info in signature.output_fields.items()})


def as_field(value: Inferred) -> Typed:
    """Return the type of `value` as the field of a prediction."""
    if isinstance(value, Record):
        return Typed(NESTED)
    return value if isinstance(value, Typed) else Typed(Any)


def join(values: Iterable[Inferred]) -> Inferred:
    """Return a description that fits each of `values`."""
    joined: Inferred | None = None
    for value in values:
        joined = value if joined is None else _join(joined, value)
    return joined if joined is not None else Unknown("its value depends on itself")


def _join(first: Inferred, second: Inferred) -> Inferred:
    if isinstance(first, Unknown) or isinstance(second, Unknown):
        return first if isinstance(first, Unknown) else second
    if isinstance(first, Record) and isinstance(second, Record):
        return _join_records(first, second)
    if isinstance(first, Typed) and isinstance(second, Typed):
        return join_types(first, second)
    record, other = (first, second) if isinstance(first, Record) else (second, first)
    if isinstance(record, Record) and isinstance(other, Typed) and other.annotation is NoneType:
        return replace(record, optional=frozenset(record.fields))
    return Unknown("it returns a prediction in one place and another value elsewhere")


def _join_records(first: Record, second: Record) -> Record:
    fields = dict(first.fields)
    for name, value in second.fields.items():
        fields[name] = join_types(fields[name], value) if name in fields else value
    optional = first.optional | second.optional | (first.fields.keys() ^ second.fields.keys())
    return Record(fields, optional, first.is_dict and second.is_dict)


def join_types(first: Typed, second: Typed) -> Typed:
    """Return the type of a value that is one of two."""
    name = first.name if first.name == second.name else None
    if first.annotation == second.annotation:
        items = first.items if first.items == second.items else None
        return Typed(first.annotation, first.info if first.info == second.info else None, name, items)
    if Any in (first.annotation, second.annotation):
        return Typed(Any, None, name)
    return Typed(Union[first.annotation, second.annotation], None, name)  # noqa: UP007 - types may be strings


def type_of_attribute(annotation: Any, name: str) -> Typed | None:
    """Return the type of `value.name` or `value["name"]` if the fields of `annotation` show it."""
    hint = fields_of(annotation).get(name)
    return None if hint is None else Typed(hint)


def fields_of(annotation: Any) -> dict[str, Any]:
    """Return the fields of a pydantic model, dataclass, TypedDict or named tuple, and their types."""
    kind = get_origin(annotation) or annotation
    if not inspect.isclass(kind):
        return {}
    if issubclass(kind, pydantic.BaseModel):
        return {name: info.annotation for name, info in kind.model_fields.items()}
    if is_typeddict(kind) or dataclasses.is_dataclass(kind) or (issubclass(kind, tuple) and hasattr(kind, "_fields")):
        try:
            return get_type_hints(kind)
        except (NameError, TypeError):
            return {}
    return {}


def type_of_item(annotation: Any) -> Any:
    """Return the type of the items of a list, set or tuple, or of the values of a dict; Any if unknown."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (list, set, frozenset) and arguments:
        return arguments[0]
    if origin is dict and len(arguments) == 2:
        return arguments[1]
    if origin is tuple and len(arguments) == 2 and arguments[1] is ...:
        return arguments[0]
    return str if annotation is str else Any


def declared(annotation: Any) -> Inferred:
    """Return what a return annotation shows."""
    if annotation is None or annotation is NoneType:
        return NOTHING
    kind = get_origin(annotation) or annotation
    if annotation is Any or (inspect.isclass(kind) and issubclass(kind, dspy.Example | dspy.Module)):
        return Unknown("its return annotation names no fields")
    if any(
        declares_prediction(option) for option in get_args(annotation) if get_origin(annotation) in (Union, UnionType)
    ):
        return Unknown("its return annotation names no fields")
    if is_typeddict(kind):
        hints = get_type_hints(kind, include_extras=True)
        absent = kind.__optional_keys__ | {name for name, hint in hints.items() if get_origin(hint) is NotRequired}
        return Record({name: Typed(hint) for name, hint in fields_of(annotation).items()}, absent, True)
    return Typed(annotation)


def declares_prediction(annotation: Any) -> bool:
    """Return whether `annotation` is the class of predictions or examples."""
    return inspect.isclass(annotation) and issubclass(annotation, dspy.Example)
