"""Random signatures, the Python values their fields take, and texts made to break templates."""

import dataclasses
import datetime
import enum
import keyword
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, Optional, Union

import dspy
import pydantic
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from t0dspy.compiler.schema import has_default


def thorough(examples: int) -> settings:
    """So many examples, the same ones on every run, however slow the machine is."""
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )


PURE, AT_THE_GATEWAY = thorough(100), thorough(60)

PIECES = (
    *(
        "{",
        "}",
        "{{",
        "}}",
        "{%",
        "%}",
        "{#",
        "#}",
        "{{ x }}",
        "{% endraw %}",
        "{% raw %}",
        "{{ '{' }}",
        "{%- if x -%}",
    ),
    *(
        "\n",
        "\r\n",
        "\t",
        "\x00",
        "\x07",
        "\x1b[0m",
        "\x7f",
        "\u2028",
        "\u200b",
        "\ufeff",
        "\u0301",
        "🎉",
        "日本",
        "<b>&",
    ),
    *("[[ ## answer ## ]]", "[[ ## completed ## ]]", "</output>", "«", "»", '"', "'", "\\", "\\n", "${x}", "%s", "  "),
)

texts = st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=8).map("".join)
"""Any text that UTF-8 can write, rich in what templates and prompts treat in a special way."""

integers = st.integers(1 - 2**63, 2**64 - 1)
floats = st.floats(allow_nan=False, allow_infinity=False)

names = st.from_regex(r"[a-zA-Z][a-zA-Z0-9_]{0,9}", fullmatch=True).filter(
    lambda name: not keyword.iskeyword(name) and not hasattr(dspy.Signature, name) and not name.startswith("model_")
)
"""Names that a field of a signature can have."""


@dataclass(frozen=True)
class Typed:
    """A type, and the values that a program would give a field of this type."""

    annotation: Any
    values: st.SearchStrategy[Any] = dataclasses.field(repr=False)
    ordered: bool = True
    """Whether the served prompt keeps the order of all keys: no free-form object, no union of two objects."""


@dataclass(frozen=True)
class Field:
    """One field of a random signature."""

    typed: Typed
    description: str | None
    required: bool


def _literal(options: list[Any]) -> Typed:
    return Typed(Literal[tuple(options)], st.sampled_from(options))


def _enum(members: list[Any]) -> Typed:
    kind: Any = enum.Enum("Kind", {f"M{at}": value for at, value in enumerate(members)})  # type: ignore[misc]
    return Typed(kind, st.sampled_from(list(kind)))


scalars = st.sampled_from(
    [
        Typed(str, texts),
        Typed(int, integers),
        Typed(float, floats | st.integers(-(10**15), 10**15)),
        Typed(bool, st.booleans()),
        Typed(datetime.date, st.dates()),
        Typed(datetime.datetime, st.datetimes(timezones=st.none() | st.just(datetime.UTC))),
        Typed(datetime.time, st.times()),
        Typed(uuid.UUID, st.uuids()),
        Typed(Decimal, st.decimals(allow_nan=False, allow_infinity=False, places=2)),
    ]
)
literals = st.lists(texts.filter(bool) | st.integers(-5, 5), min_size=1, max_size=4, unique=True).map(_literal)
enums = st.lists(texts, min_size=1, max_size=3, unique=True).map(_enum) | st.lists(
    st.integers(-9, 9), min_size=1, max_size=3, unique=True
).map(_enum)
anything = st.recursive(
    st.none() | st.booleans() | integers | floats | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


def _list(item: Typed) -> Typed:
    return Typed(list[item.annotation], st.lists(item.values, max_size=3), item.ordered)  # type: ignore[name-defined]


def _map(item: Typed) -> Typed:
    return Typed(dict[str, item.annotation], st.dictionaries(texts, item.values, max_size=3), False)  # type: ignore[name-defined]


def _pair(items: tuple[Typed, Typed]) -> Typed:
    one, other = items
    ordered = one.ordered and other.ordered and not any(_holds_objects(item.annotation) for item in items)
    return Typed(tuple[one.annotation, other.annotation], st.tuples(one.values, other.values), ordered)  # type: ignore[name-defined]


def _optional(item: Typed) -> Typed:
    return Typed(Optional[item.annotation], st.none() | item.values, item.ordered)  # noqa: UP045


def _union(items: tuple[Typed, Typed]) -> Typed:
    one, other = items
    ordered = one.ordered and other.ordered and not all(_holds_objects(item.annotation) for item in items)
    return Typed(Union[one.annotation, other.annotation], one.values | other.values, ordered)  # noqa: UP007


def _holds_objects(annotation: Any) -> bool:
    inner = getattr(annotation, "__args__", ())
    own = isinstance(annotation, type) and (
        issubclass(annotation, pydantic.BaseModel) or dataclasses.is_dataclass(annotation)
    )
    return own or any(_holds_objects(one) for one in inner)


def _model(fields: Mapping[str, tuple[Typed, bool]]) -> Typed:
    """A pydantic model; every second field of it may be left out."""
    parts: Any = {
        name: (Optional[one.annotation], None) if optional else (one.annotation, ...)  # noqa: UP045
        for name, (one, optional) in fields.items()
    }
    model = pydantic.create_model("Model", __config__=pydantic.ConfigDict(protected_namespaces=()), **parts)
    values = {name: st.none() | one.values if optional else one.values for name, (one, optional) in fields.items()}
    ordered = all(one.ordered for one, _ in fields.values())
    return Typed(model, st.fixed_dictionaries(values).map(lambda given: model.model_construct(**given)), ordered)


def _dataclass(fields: Mapping[str, tuple[Typed, bool]]) -> Typed:
    kind = dataclasses.make_dataclass("Data", [(name, one.annotation) for name, (one, _) in fields.items()])
    values = st.fixed_dictionaries({name: one.values for name, (one, _) in fields.items()})
    return Typed(kind, values.map(lambda given: kind(**given)), all(one.ordered for one, _ in fields.values()))


def _wrapped(inner: st.SearchStrategy[Typed]) -> st.SearchStrategy[Typed]:
    members = st.dictionaries(
        names.filter(lambda name: not hasattr(pydantic.BaseModel, name)),
        st.tuples(inner, st.booleans()),
        min_size=1,
        max_size=3,
    )
    return st.one_of(
        inner.map(_list),
        inner.map(_map),
        inner.map(_optional),
        st.tuples(inner, inner).map(_pair),
        st.tuples(inner, inner).map(_union),
        members.map(_model),
        members.map(_dataclass),
    )


typed = st.recursive(scalars | literals | enums | st.just(Typed(Any, anything, False)), _wrapped, max_leaves=4)
"""Any type that a field may have, with its values."""

fields = st.builds(Field, typed, st.none() | texts, st.booleans())


@dataclass(frozen=True)
class RandomSignature:
    """A signature, and how to give its fields values."""

    signature: type[dspy.Signature]
    inputs: Mapping[str, Field]
    outputs: Mapping[str, Field]

    @property
    def ordered(self) -> bool:
        """Whether stock DSPy writes the same messages."""
        return all(field.typed.ordered for field in self.inputs.values())

    def completed(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """`inputs` as `dspy.Predict` hands them to its adapter: with defaults."""
        defaults = {name: info.default for name, info in self.signature.input_fields.items() if has_default(info)}
        return {**defaults, **inputs}

    def input_values(self) -> st.SearchStrategy[dict[str, Any]]:
        """Inputs of one call; those that have a default are there now and then."""
        required = {name: one.typed.values for name, one in self.inputs.items() if one.required}
        optional = {name: one.typed.values for name, one in self.inputs.items() if not one.required}
        return st.fixed_dictionaries(required, optional=optional)

    def output_values(self) -> st.SearchStrategy[dict[str, Any]]:
        """A complete answer."""
        return st.fixed_dictionaries({name: one.typed.values for name, one in self.outputs.items()})

    def demo_values(self) -> st.SearchStrategy[dict[str, Any]]:
        """A demo: any of the fields, some of them None."""
        every = {name: st.none() | one.typed.values for name, one in {**self.inputs, **self.outputs}.items()}
        return st.fixed_dictionaries({}, optional={**every, "augmented": st.just(True)})


@st.composite
def signatures(draw: st.DrawFn) -> RandomSignature:
    """A random signature with one to four inputs and one to three outputs."""
    every = draw(st.lists(st.tuples(names, fields), min_size=2, max_size=6, unique_by=lambda one: one[0]))
    split = draw(st.integers(1, len(every) - 1))
    inputs, outputs = dict(every[:split]), dict(every[split:])
    parts: dict[str, Any] = {}
    for name, one in every:
        options: dict[str, Any] = {} if one.description is None else {"desc": one.description}
        if name in inputs:
            if not one.required:
                options["default"] = draw(one.typed.values)
            parts[name] = (one.typed.annotation, dspy.InputField(**options))
        else:
            parts[name] = (one.typed.annotation, dspy.OutputField(**options))
    made = dspy.make_signature(parts, draw(st.none() | texts.filter(lambda text: bool(text.strip()))))
    return RandomSignature(made, inputs, outputs)
