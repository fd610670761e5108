"""`t0dspy.pull`: production's examples as `dspy.Example`s, typed as the program's signatures say."""

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
    """An example that knows where it came from; its fields are the signature's alone, so optimizers see no others."""

    def __init__(self, base: Any = None, **kwargs: Any) -> None:
        super().__init__(base=base, **kwargs)  # type: ignore[no-untyped-call]
        self._origin: PulledExample | None = getattr(base, "_origin", None)
        self._run: PulledExample | None = getattr(base, "_run", None)

    @property
    def t0dspy_origin(self) -> PulledExample | None:
        """The inference that this example is: ids, version, metrics, comments, tags, time."""
        return self._origin

    @property
    def t0dspy_run(self) -> PulledExample | None:
        """The program's inference that a stage belongs to; of the program's own example, the same as its origin."""
        return self._run

    @property
    def t0dspy_verdict(self) -> Mapping[str, bool | float]:
        """What people said of it: a stage has the program's metrics, and its own before those."""
        return {**(self._run.metrics if self._run else {}), **(self._origin.metrics if self._origin else {})}


class Typist:
    """Turns pulled examples into `dspy.Example`s of a live program."""

    def __init__(self, program: dspy.Module | None, name: str) -> None:
        """Without a live `program` values stay JSON. `name` is what the program was exported as."""
        live = dict(program.named_predictors()) if program is not None else {}
        self._program = _Fields(program_types(program, name)) if program is not None else _Fields(FieldTypes())
        self._predictors = {path: _Fields(signature_types(signature_of(one))) for path, one in live.items()}

    def example(self, pulled: PulledExample) -> ProductionExample:
        """The program's inference.

        Raises:
            pydantic.ValidationError: a type does not take a value that the exported schema took.
        """
        return self._program.example(pulled, pulled)

    def stage(self, stage: PulledExample, run: PulledExample) -> ProductionExample:
        """The inference of a predictor within a `run`, with `augmented=True` as DSPy's own bootstrapped demos have it.

        Raises:
            pydantic.ValidationError: see `example`.
        """
        fields = self._predictors.get(stage.predictor or "", _Fields(FieldTypes()))
        found = fields.example(stage, run)
        found["augmented"] = True
        return found


class Examples(Iterator[dspy.Example]):
    """The examples of a pull, to be read once; `summary` tells what became of the rows, complete at the end."""

    def __init__(self, pull: Pull, warehouse: Warehouse, typist: Typist, *, augmented: bool) -> None:
        self._pull, self._warehouse, self._typist, self._augmented = pull, warehouse, typist, augmented
        self._examples = self._read()

    @property
    def summary(self) -> Summary:
        """What became of the rows so far."""
        return self._pull.summary

    def __iter__(self) -> Iterator[dspy.Example]:
        """Those that have not been read yet; raises WarehouseError when ClickHouse fails on the way."""
        return self._examples

    def __next__(self) -> dspy.Example:
        return next(self._examples)

    def close(self) -> None:
        """Read no further, and let go of ClickHouse."""
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
        for one in run.stages:
            try:
                yield self._typist.stage(one, run)
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
    """What an exported program said in production, as examples with `with_inputs` set.

    Outputs are the latest demonstration where there is one, else the model's own answer. Where an example came from
    and what people said of it is in its `t0dspy_origin`, `t0dspy_run` and `t0dspy_verdict`, which are no fields.

    Args:
        name: the exported program.
        window: its length, such as `45m`, `12h`, `30d` or `4w`.
        until: its end, by default now.
        version: only what these versions answered.
        tags: only what carries all of these.
        metrics: only what has these as its latest values, such as `{"accepted": False}`.
        limit: at most so many, evenly over time.
        include: what is left out otherwise: `pinned`, `internal`, `evaluation`, `test`.
        fallbacks: whether answers come along that another version should have given.
        augmented: whether the stages follow each run, as examples of predictors with a field `augmented=True` and
            `t0dspy_origin.predictor`.
        program: the live program, whose signatures type the values; by default imported as it was exported.
        typed: False leaves values as JSON has them, and imports no program.
        configs: the directory of TensorZero's config.
        clickhouse_url: by default from the environment and the settings.

    Raises:
        SettingsError: an argument is not one.
        BundleError: the program was never exported.
        ProgramError: it cannot be imported.
        WarehouseError: ClickHouse is not there; on the way too.
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
    typist = Typist(program if typed else None, name)
    warehouse = Warehouse(settings.clickhouse_url.value)
    return Examples(Pull(plan, warehouse), warehouse, typist, augmented=augmented)


class _Fields:
    """Types values, field by field."""

    def __init__(self, types: FieldTypes) -> None:
        self._adapters = _adapters({**types.outputs, **types.inputs})

    def example(self, pulled: PulledExample, run: PulledExample) -> ProductionExample:
        fields = _typed({**pulled.inputs, **(pulled.outputs or {})}, self._adapters)
        found = ProductionExample.__new__(ProductionExample)  # all that __init__ does, in a third of its time
        vars(found).update(_store=fields, _demos=[], _input_keys=set(pulled.inputs), _origin=pulled, _run=run)
        return found


def _adapters(types: Mapping[str, Any]) -> dict[str, Any]:
    """Nothing for texts, which JSON types well enough."""
    return {name: pydantic.TypeAdapter(one) for name, one in types.items() if one is not str}


def _typed(fields: dict[str, Any], adapters: Mapping[str, Any]) -> dict[str, Any]:
    for name, adapter in adapters.items():
        if name in fields:
            fields[name] = adapter.validate_python(fields[name], by_alias=True, by_name=True)
    return fields
