"""What clients were promised, and what of it is stored: lost, doubled, or right."""

import itertools
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx

from chaos.stacks import ChaosStack

MAIN = ("ChatInference", "JsonInference")
FEEDBACK = ("BooleanMetricFeedback",)


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    scenario: str
    count: str
    """What was counted."""
    number: int
    wrong: int = 0
    """How many of them were wrong: lost, doubled, mixed, crossed, left behind."""
    gates: bool = True
    """Whether a wrong count fails the whole."""

    @property
    def is_right(self) -> bool:
        return not (self.gates and self.wrong)


def table(rows: Sequence[Row]) -> str:
    """The rows as a markdown table."""
    head = "| scenario | counted | number | wrong | |\n|---|---|---|---|---|"
    lines = [f"| {one.scenario} | {one.count} | {one.number:,} | {one.wrong:,} | {_verdict(one)} |" for one in rows]
    return "\n".join([head, *lines])


def _verdict(row: Row) -> str:
    if not row.wrong:
        return "right"
    return "WRONG" if row.gates else "shown only"


@dataclass
class Promises:
    """Ids of rows that clients were told are stored."""

    inferences: set[str] = field(default_factory=set)
    feedback: set[str] = field(default_factory=set)
    refused: int = 0

    def audit(self, stack: ChaosStack, scenario: str) -> list[Row]:
        """Count what is lost or doubled; `stack` must run."""
        rows = []
        for what, promised, tables in (
            ("inferences", self.inferences, MAIN),
            ("feedbacks", self.feedback, FEEDBACK),
        ):
            ids = [id for name in tables for (id,) in stack.rows(f"SELECT toString(id) FROM {name}")]
            rows.append(Row(scenario, f"acknowledged {what} lost", len(promised), len(promised - set(ids))))
            rows.append(Row(scenario, f"stored {what} doubled", len(ids), len(ids) - len(set(ids))))
        second = [id for (id,) in stack.rows("SELECT toString(inference_id) FROM ModelInference")]
        own = [id for (id,) in stack.rows("SELECT toString(id) FROM ModelInference")]
        lacking = len(self.inferences - set(second))
        rows.append(Row(scenario, "inferences without a second row", len(self.inferences), lacking))
        rows.append(Row(scenario, "second rows doubled", len(own), len(own) - len(set(own))))
        return rows


class Load:
    """Clients that call and rate until they are told to stop; also counts what was refused."""

    def __init__(self, url: str, promises: Promises, clients: int) -> None:
        self._url, self.promises, self._over = url, promises, threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,), daemon=True) for number in range(clients)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(90)

    def _run(self, client: int) -> None:
        with httpx.Client(base_url=self._url, trust_env=False, timeout=60) as http:
            for number in itertools.count():
                if self._over.is_set():
                    return
                try:
                    self._round(http, number + client)
                except (httpx.HTTPError, ValueError, KeyError):
                    self.promises.refused += 1
                    self._over.wait(0.05)

    def _round(self, http: httpx.Client, number: int) -> None:
        id = _inference(http, number)
        if id is None:
            self.promises.refused += 1
            return
        self.promises.inferences.add(id)
        body = {"metric_name": "good", "value": bool(number % 2), "inference_id": id}
        answer = http.post("/feedback", json=body)
        if answer.status_code == 200:
            self.promises.feedback.add(answer.json()["feedback_id"])
        else:
            self.promises.refused += 1


def _inference(http: httpx.Client, number: int) -> str | None:
    """One call: of a function that the gateway answers alone, streamed or not, or of a program with two stages."""
    function, fields = [("question", {"question": "why"}), ("tales", {"topic": f"topic {number}"})][number % 4 == 3]
    block = {"type": "template", "name": "user", "arguments": fields}
    streams = number % 4 == 1
    body = {"function_name": function, "input": {"messages": [{"role": "user", "content": [block]}]}, "stream": streams}
    answer = http.post("/inference", json=body)
    if answer.status_code != 200:
        return None
    if not streams:
        return str(answer.json()["inference_id"])
    whole = answer.text.endswith("data: [DONE]\n\n") and '"error"' not in answer.text
    return answer.text.split('"inference_id":"')[1].split('"')[0] if whole else None
