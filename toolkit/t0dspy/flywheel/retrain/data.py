"""Prepare the data of a retrain: pull it, curate and split it, and convert it for DSPy; store it for a resumed run."""

from collections.abc import Sequence
from dataclasses import replace

import dspy

from t0dspy.flywheel.curate.settings import curate_options
from t0dspy.flywheel.example import PulledExample
from t0dspy.flywheel.optimize.candidates import Sealed, production_sets, prompts_of
from t0dspy.flywheel.optimize.gate import Gate
from t0dspy.flywheel.optimize.search import Data
from t0dspy.flywheel.pull.examples import pull_examples
from t0dspy.flywheel.pull.plan import PullOptions
from t0dspy.flywheel.pull.summary import REASONS
from t0dspy.flywheel.retrain.gather import Gathered, gather, good_runs, is_good, sealed_items
from t0dspy.flywheel.retrain.task import Task
from t0dspy.flywheel.split.split import SetState
from t0dspy.flywheel.to_dspy import Types, to_example
from t0dspy.warehouse.client import Warehouse


def pull_for(task: Task) -> tuple[list[PulledExample], tuple[str, str]]:
    """Return the inferences that production had when the run began, and the start and end of the window.

    Raises:
        WarehouseError: ClickHouse cannot be reached.
    """
    known = task.run.read_examples("pulled.jsonl")
    if known is None:
        task.progress(f"pulling {task.name}")
        tags = curate_options(task.program_settings)
        options = PullOptions(
            window=task.options.window,
            until=task.now,
            fallbacks=False,
            user_tag=tags.user_tag,
            rater_tag=tags.rater_tag,
        )
        with Warehouse(task.settings.clickhouse_url.value) as warehouse:
            pull = pull_examples(task.name, options, warehouse, task.settings.configs_dir)
            known = list(pull)
        task.run.write_json("pull.json", pull.summary.to_json())
        task.run.write_examples("pulled.jsonl", known)
    summary = task.run.read_pull_summary()
    return known, (summary.since, summary.until)


def gather_for(task: Task, pulled: Sequence[PulledExample]) -> Gathered:
    """Return the three sets; the assignment of examples to sets is stored before the sets are used."""
    task.progress(f"curating {len(pulled):,} examples")
    gathered = gather(
        pulled, task.exported, task.live, task.version, task.program_settings, task.base, SetState.read(task.home.sets)
    )
    if not task.options.dry_run:
        gathered.state.write(task.home.sets)  # before any of it is used
    drops = task.run.read_pull_summary().drops
    before = {REASONS.get(reason, reason): count for reason, count in drops.items()}
    return replace(gathered, dropped={**before, **gathered.dropped})


def data_of(task: Task, gathered: Gathered, incumbent: dspy.Module) -> tuple[Data, list[dspy.Example]]:
    """Return the data that the optimizer may use, and separately the holdout.

    A model's own answer that people rated well is a label for training, but never one for the promotion test.
    """
    types, floor = Types.of(task.live, task.name), curate_options(task.program_settings).floor
    trusted = {"train": True, "validation": task.program_settings.gold == "required", "holdout": False}
    sets: dict[str, list[dspy.Example]] = {}
    for part, trust in trusted.items():
        every: Sequence[PulledExample] = getattr(gathered, part)
        labelled = [
            replace(example, demonstration=example.demonstration or (trust and is_good(example, floor)))
            for example in every
        ]
        sets[part] = [to_example(example, types, f"an example to {part}") for example in labelled]
    demos = production_sets(
        good_runs(gathered.train, floor), incumbent, max(1, task.program_settings.max_demos), seed=task.options.seed
    )
    sealed = Sealed(sealed_items([*gathered.validation, *gathered.holdout]))
    user_values = [[example.inputs, example.outputs] for example in gathered.user_examples]
    gate = Gate([*user_values, prompts_of(incumbent)], curate_options(task.program_settings).demo_characters)
    return Data(
        sets["train"], sets["validation"], demos if task.program_settings.max_demos else {}, sealed, gate
    ), sets["holdout"]
