"""Twenty changes of traffic while callers call: nobody is lost, and nobody answered by what has no traffic."""

import threading
import time
from dataclasses import dataclass, field

import httpx

from support.rollout import Project
from t0dspy.rollout.rollout import set_traffic, undo

CHANGES = 20


@dataclass
class Callers:
    """Three callers; each tries once more when a call fails."""

    project: Project
    answered: list[tuple[float, float, str, str]] = field(default_factory=list)
    """When the call began and ended, the variant, the inference."""
    repeated: int = 0
    lost: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self.stop.is_set():
            if not self.called() and not self.called(again=True):
                self.lost.append("a call failed twice")

    def called(self, *, again: bool = False) -> bool:
        began = time.monotonic()
        self.repeated += again
        try:
            answer = self.project.call("question", {"question": "why"})
        except httpx.HTTPError:
            return False
        if answer.status_code != 200:
            return False
        said = answer.json()
        self.answered.append((began, time.monotonic(), said["variant_name"], said["inference_id"]))
        return True


def test_twenty_changes_under_load(project: Project) -> None:
    """Between two changes only versions with traffic answer, every answer is stored, and no call fails twice."""
    callers = Callers(project)
    threads = [threading.Thread(target=callers.run) for _ in range(3)]
    for thread in threads:
        thread.start()
    wrong = []
    try:
        for number in range(CHANGES):
            version = f"v{2 + number % 2}"
            change = set_traffic(project.place, "question", {version: 1.0}, applying=True)
            if number % 4 == 3:
                change = undo(project.place, "question")
            served = time.monotonic()
            time.sleep(0.15)
            until = time.monotonic()
            wrong += [one for one in list(callers.answered) if served < one[0] < until and one[2] not in change.after]
    finally:
        callers.stop.set()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert callers.lost == []
    assert {variant for _, _, variant, _ in callers.answered} >= {"v2", "v3"}
    assert {id for *_, id in callers.answered} <= project.stored("ChatInference")
