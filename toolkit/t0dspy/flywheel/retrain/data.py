"""What a retrain works with: pulled, curated, divided, and as DSPy wants it; kept, so that it can be resumed."""

from collections.abc import Sequence
from dataclasses import replace

import dspy

from t0dspy.flywheel.curate.settings import curate_options
from t0dspy.flywheel.example import PulledExample
from t0dspy.flywheel.optimize.candidates import Sealed, production_sets, prompts_of
from t0dspy.flywheel.optimize.gate import Gate
from t0dspy.flywheel.optimize.optimize import Data
from t0dspy.flywheel.pull.examples import pull_examples
from t0dspy.flywheel.pull.plan import PullOptions
from t0dspy.flywheel.pull.summary import REASONS
from t0dspy.flywheel.retrain.gather import Gathered, gather, good_runs, is_good, sealed_items
from t0dspy.flywheel.retrain.task import Task
from t0dspy.flywheel.split.split import SetState
from t0dspy.flywheel.to_dspy import Types, to_example
from t0dspy.warehouse.client import Warehouse


def pull_for(task: Task) -> tuple[list[PulledExample], tuple[str, str]]:
    """What production said when the run began, and from when to when.

    Raises:
        WarehouseError: ClickHouse is not there.
    """
    known = task.run.read_examples("pulled.jsonl")
    if known is None:
        task.progress(f"pulling {task.name}")
        tags = curate_options(task.own)
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
    summary = task.run.pulled()
    return known, (summary.since, summary.until)


def gather_for(task: Task, pulled: Sequence[PulledExample]) -> Gathered:
    """The three sets; which example is in which is remembered before any is used."""
    task.progress(f"curating {len(pulled):,} examples")
    found = gather(pulled, task.exported, task.live, task.version, task.own, task.base, SetState.read(task.home.sets))
    if not task.options.dry_run:
        found.state.write(task.home.sets)  # before any of it is used
    drops = task.run.pulled().drops
    before = {REASONS.get(reason, reason): count for reason, count in drops.items()}
    return replace(found, dropped={**before, **found.dropped})


def data_of(task: Task, gathered: Gathered, incumbent: dspy.Module) -> tuple[Data, list[dspy.Example]]:
    """What the optimizer may see, and apart from it the holdout.

    A model's own answer that people found good is a label to learn from, never one to judge by.
    """
    types, floor = Types.of(task.live, task.name), curate_options(task.own).floor
    trusted = {"train": True, "validation": task.own.gold == "required", "holdout": False}
    sets: dict[str, list[dspy.Example]] = {}
    for part, trust in trusted.items():
        every: Sequence[PulledExample] = getattr(gathered, part)
        labelled = [replace(one, demonstration=one.demonstration or (trust and is_good(one, floor))) for one in every]
        sets[part] = [to_example(one, types, f"an example to {part}") for one in labelled]
    demos = production_sets(
        good_runs(gathered.train, floor), incumbent, max(1, task.own.max_demos), seed=task.options.seed
    )
    sealed = Sealed(sealed_items([*gathered.validation, *gathered.holdout]))
    own = [[one.inputs, one.outputs] for one in gathered.own]
    gate = Gate([*own, prompts_of(incumbent)], curate_options(task.own).demo_characters)
    return Data(sets["train"], sets["validation"], demos if task.own.max_demos else {}, sealed, gate), sets["holdout"]
