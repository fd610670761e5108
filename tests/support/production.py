"""Production for the flywheel's tests: a stack with exported programs, called by the official client."""

import threading
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tensorzero import TensorZeroGateway

from support.served import Served, export
from t0dspy.flywheel.example import PulledExample
from t0dspy.flywheel.pull.examples import Pull, pull_examples
from t0dspy.flywheel.pull.plan import PullOptions
from t0dspy.flywheel.pull.summary import Summary
from t0dspy.warehouse.client import Warehouse


def exported(configs: Path) -> None:
    """A program of two stages in two versions, direct ones in both texts, one whose demos are turns, typed, failing."""
    export(configs, "stories:stories", name="tales")
    export(configs, "stories:stories", name="tales", instructions="NEW instructions.", traffic=0.5)
    export(configs, "stories:question")
    export(configs, "stories:thinker", adapter="json")
    export(configs, "stories:asker")
    export(configs, "stories:library")
    export(configs, "stories:naughty", signature="topic: str -> text: str", stage_timeout=3, run_timeout=6)


class Production:
    """The stack as its users see it. Every test marks its inferences with a tag of its own."""

    def __init__(self, served: Served, client: TensorZeroGateway, tag: str) -> None:
        self.served, self.client, self.tag = served, client, tag

    @property
    def configs(self) -> Path:
        return self.served.configs

    @property
    def clickhouse_url(self) -> str:
        return self.served.urls["clickhouse"] + "/tensorzero"

    def infer(self, name: str, tags: dict[str, str] | None = None, options: Any = None, **fields: Any) -> Any:
        """One inference of `name`; `options` are the client's own."""
        block = {"type": "template", "name": "user", "arguments": fields}
        messages = {"messages": [{"role": "user", "content": [block]}]}
        marks = {"test": self.tag, **(tags or {})}
        return self.client.inference(function_name=name, input=messages, tags=marks, **(options or {}))  # type: ignore[arg-type]

    def say(self, inference: Any, metric: str, value: Any, *, episode: bool = False) -> None:
        """Feedback on an inference (or its id), or on its episode."""
        if episode:
            self.client.feedback(metric_name=metric, value=value, episode_id=inference.episode_id)
        else:
            id = inference if isinstance(inference, str) else inference.inference_id
            self.client.feedback(metric_name=metric, value=value, inference_id=id)

    def is_cached(self) -> bool:
        """Whether the gateway has filled its cache with an answer to this test, which it does after it gave it."""
        query = f"SELECT 1 FROM ModelInferenceCache WHERE position(raw_request, '{self.tag}') > 0"
        return bool(self.served.rows(query))

    def pull(self, name: str, configs: Path | None = None, **options: Any) -> tuple[list[PulledExample], Summary]:
        """This test's examples, and what became of the rows."""
        options = {"tags": {"test": self.tag}, **options}
        with Warehouse(self.clickhouse_url) as warehouse:
            found: Pull = pull_examples(name, PullOptions(**options), warehouse, configs or self.configs)
            return list(found), found.summary

    def only(self, name: str, **options: Any) -> PulledExample:
        """The one example that this test made."""
        (found,), _ = self.pull(name, **options)
        return found


def now() -> datetime:
    """A moment that nothing shares a millisecond with."""
    time.sleep(0.005)
    moment = datetime.now(UTC)
    time.sleep(0.005)
    return moment


def window(since: datetime, until: datetime) -> dict[str, Any]:
    """The options of a pull between two moments."""
    return {"window": until - since, "until": until}


def pulled(**options: Any) -> PulledExample:
    """A pulled example with one input and one output."""
    return PulledExample(**{"inputs": {"q": "?"}, "outputs": {"a": "!"}, "model_outputs": {"a": "!"}, **options})


def by_id(examples: Iterable[PulledExample]) -> dict[str | None, PulledExample]:
    return {one.inference_id: one for one in examples}


LONG = timedelta(days=1)


def threads() -> int:
    """How many threads of a pull are alive."""
    return sum(one.name == "t0dspy-pull" for one in threading.enumerate())
