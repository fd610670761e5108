"""`t0dspy.pull`: production's examples as `dspy.Example`s, with the types of the program's signatures."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dspy
import pydantic

from t0dspy.compiler.introspect import signature_of
from t0dspy.flywheel.example import PulledExample
from t0dspy.flywheel.pull.examples import Pull
from t0dspy.flywheel.pull.plan import PullOptions, plan_pull, rater_options
from t0dspy.flywheel.pull.summary import Summary
from t0dspy.flywheel.pull.window import time_of
from t0dspy.program.load import load_program
from t0dspy.program.types import FieldTypes, program_types, signature_types
from t0dspy.settings import load_settings
from t0dspy.stack.processes.locate import locate
from t0dspy.warehouse.client import Warehouse


class ProductionExample(dspy.Example):
    """An example with its origin; its fields are only those of the signature, so optimizers see no others."""

    def __init__(self, base: Any = None, **kwargs: Any) -> None:
        super().__init__(base=base, **kwargs)  # type: ignore[no-untyped-call]
        self._origin: PulledExample | None = getattr(base, "_origin", None)
        self._run: PulledExample | None = getattr(base, "_run", None)

    @property
    def t0dspy_origin(self) -> PulledExample | None:
        """Return the inference of this example: ids, version, metrics, comments, tags, time."""
        return self._origin

    @property
    def t0dspy_run(self) -> PulledExample | None:
        """Return the program's inference that a stage belongs to.

        For the program's own example, the same as its origin.
        """
        return self._run

    @property
    def t0dspy_verdict(self) -> Mapping[str, bool | float]:
        """Return people's ratings: for a stage, those of the program, overridden by its own."""
        return {**(self._run.metrics if self._run else {}), **(self._origin.metrics if self._origin else {})}


class ExampleConverter:
    """Converts pulled examples to `dspy.Example`s of a live program."""

    def __init__(self, program: dspy.Module | None, name: str) -> None:
        """Take the types of the live `program`, which was exported as `name`.

        Without a program, values stay as in JSON.
        """
        live = dict(program.named_predictors()) if program is not None else {}
        self._program = _Fields(program_types(program, name)) if program is not None else _Fields(FieldTypes())
        self._predictors = {path: _Fields(signature_types(signature_of(predictor))) for path, predictor in live.items()}

    def example(self, pulled: PulledExample) -> ProductionExample:
        """Convert the program's inference.

        Raises:
            pydantic.ValidationError: a value fits the exported schema but not the type.
        """
        return self._program.example(pulled, pulled)

    def stage(self, stage: PulledExample, run: PulledExample) -> ProductionExample:
        """Convert the inference of a predictor within a `run`, with `augmented=True` like DSPy's bootstrapped demos.

        Raises:
            pydantic.ValidationError: see `example`.
        """
        fields = self._predictors.get(stage.predictor or "", _Fields(FieldTypes()))
        example = fields.example(stage, run)
        example["augmented"] = True
        return example


class Examples(Iterator[dspy.Example]):
    """The examples of a pull, to be read once.

    `summary` counts what became of the rows; it is complete when all examples were read.
    """

    def __init__(self, pull: Pull, warehouse: Warehouse, typist: ExampleConverter, *, augmented: bool) -> None:
        self._pull, self._warehouse, self._typist, self._augmented = pull, warehouse, typist, augmented
        self._examples = self._read()

    @property
    def summary(self) -> Summary:
        """Return the counts for the rows that were read so far."""
        return self._pull.summary

    def __iter__(self) -> Iterator[dspy.Example]:
        """Yield the examples that were not read yet.

        Raises:
            WarehouseError: ClickHouse fails while it is read.
        """
        return self._examples

    def __next__(self) -> dspy.Example:
        return next(self._examples)

    def close(self) -> None:
        """Stop reading, and close the connection to ClickHouse."""
        self._examples.close()

    def _read(self) -> Generator[dspy.Example]:
        with self._warehouse:
            for pulled in self._pull:
                try:
                    yield self._typist.example(pulled)
                except pydantic.ValidationError:
                    self.summary.drops["misfit"] += 1
                    self.summary.examples -= 1
                    continue
                if self._augmented:
                    yield from self._stages(pulled)

    def _stages(self, run: PulledExample) -> Iterator[dspy.Example]:
        for stage in run.stages:
            try:
                yield self._typist.stage(stage, run)
            except pydantic.ValidationError:
                self.summary.drops["stage_misfit"] += 1


def pull(
    name: str,
    window: str | timedelta = "30d",
    until: datetime | str | None = None,
    *,
    version: str | Sequence[str] = (),
    tags: Mapping[str, str] | None = None,
    metrics: Mapping[str, bool | float] | None = None,
    limit: int | None = None,
    include: Sequence[str] = (),
    fallbacks: bool = True,
    augmented: bool = False,
    program: dspy.Module | None = None,
    typed: bool = True,
    configs: Path | str = "configs",
    clickhouse_url: str | None = None,
) -> Examples:
    """Pull a program's inferences in production as examples with `with_inputs` set.

    The outputs are the latest demonstration if there is one, or else the model's own answer. The origin of an example
    and
    people's ratings are in its attributes `t0dspy_origin`, `t0dspy_run` and `t0dspy_verdict`, which are not fields.

    Args:
        name: the exported program.
        window: its length, such as `45m`, `12h`, `30d` or `4w`.
        until: its end, by default now.
        version: only inferences that these versions answered.
        tags: only inferences with all of these tags.
        metrics: only inferences with these latest values, such as `{"accepted": False}`.
        limit: at most this many examples, spread evenly over time.
        include: rows to include that are left out by default: `pinned`, `internal`, `evaluation`, `test`.
        fallbacks: whether to include answers that another version should have given.
        augmented: whether each run is followed by its stages, as examples of predictors with a field `augmented=True`
            and
            `t0dspy_origin.predictor`.
        program: the live program, whose signatures give the types; by default imported as it was exported.
        typed: False leaves values as in JSON, and imports no program.
        configs: the directory of TensorZero's config.
        clickhouse_url: by default from the environment and the settings.

    Returns:
        An iterator of `ProductionExample`s, oldest first, with a `summary`.

    Raises:
        SettingsError: an argument is not valid.
        BundleError: the program was never exported.
        ProgramError: the program cannot be imported.
        WarehouseError: ClickHouse cannot be reached, or fails while it is read.
    """
    settings = locate(load_settings(clickhouse_url=clickhouse_url))
    options = PullOptions(
        window=window,
        until=time_of(until) if isinstance(until, str) else until,
        versions=(version,) if isinstance(version, str) else tuple(version),
        tags=tags or {},
        metrics=metrics or {},
        limit=limit,
        include=tuple(include),
        fallbacks=fallbacks,
        **rater_options(settings, name),
    )
    plan = plan_pull(name, options, Path(configs))
    reference = plan.program.exported.manifest.program
    if typed and program is None and reference is not None:
        program = load_program(reference)
    typist = ExampleConverter(program if typed else None, name)
    warehouse = Warehouse(settings.clickhouse_url.value)
    return Examples(Pull(plan, warehouse), warehouse, typist, augmented=augmented)


class _Fields:
    """Converts values field by field."""

    def __init__(self, types: FieldTypes) -> None:
        self._adapters = _adapters({**types.outputs, **types.inputs})

    def example(self, pulled: PulledExample, run: PulledExample) -> ProductionExample:
        fields = _typed({**pulled.inputs, **(pulled.outputs or {})}, self._adapters)
        example = ProductionExample.__new__(ProductionExample)  # all that __init__ does, in a third of its time
        vars(example).update(_store=fields, _demos=[], _input_keys=set(pulled.inputs), _origin=pulled, _run=run)
        return example


def _adapters(types: Mapping[str, Any]) -> dict[str, Any]:
    """Return the adapters of the types; text needs none, because JSON has the type."""
    return {name: pydantic.TypeAdapter(type_) for name, type_ in types.items() if type_ is not str}


def _typed(fields: dict[str, Any], adapters: Mapping[str, Any]) -> dict[str, Any]:
    for name, adapter in adapters.items():
        if name in fields:
            fields[name] = adapter.validate_python(fields[name], by_alias=True, by_name=True)
    return fields
