"""The steps of the demo, in their order. Each measures what it says."""

import json
import re
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from examples.spec_to_review.demo import clients
from examples.spec_to_review.demo.clients import NAME, Answered, Call
from examples.spec_to_review.demo.processes import DemoError, Process, run, t0dspy
from examples.spec_to_review.demo.project import Project
from examples.spec_to_review.demo.show import Figure, Show, Step
from examples.spec_to_review.metric import Grade, graded
from examples.spec_to_review.optimize import DATA, mean
from examples.spec_to_review.specs import Row, generate

_PROGRESS = re.compile(r"progress (\d+) (\d+) ")


@dataclass(frozen=True)
class Size:
    """How much is done."""

    train: int
    validation: int
    trials: int
    fresh: int
    """Specifications from a new seed."""
    large: tuple[int, int]
    """Functions and words of one more of them."""
    calls: int
    """That retrain may make."""


WHOLE = Size(train=60, validation=30, trials=12, fresh=24, large=(20, 5000), calls=2000)
SHORT = Size(train=16, validation=6, trials=2, fresh=3, large=(6, 600), calls=300)


@dataclass
class Demo:
    """A demo that is under way."""

    project: Project
    size: Size
    seed: str
    show: Show
    model_url: str = ""
    urls: Mapping[str, str] = field(default_factory=dict)
    figures: list[Figure] = field(default_factory=list)
    facts: dict[str, object] = field(default_factory=dict)
    optimized: float = 0.0
    version: str | None = None
    """What retrain made; None where the incumbent was kept."""
    answers: list[Answered] = field(default_factory=list)
    """What production, so to say, was asked and answered."""

    @property
    def environment(self) -> dict[str, str]:
        """What the demo's commands are told."""
        known = {"TENSORZERO_GATEWAY_URL": self.urls["gateway"]} if self.urls else {}
        return {"LITELLM_LOCAL_MODEL_COST_MAP": "true", "OPENAI_API_KEY": "none", **known}

    @property
    def model_address(self) -> str:
        """Host and port of the offline model."""
        return self.model_url.removeprefix("http://").removesuffix("/v1")

    def log(self, name: str) -> Path:
        """The log of a process."""
        return self.project.logs / f"{name}.log"

    def command(self, name: str, *arguments: str, heard: Callable[[str], None] | None = None) -> str:
        """Run a command of the demo in the project's directory, and return what it printed."""
        return run(name, arguments, self.log(name), self.project.directory, self.environment, heard=heard)

    def start(self, name: str, *arguments: str) -> Process:
        """Start a process that stays."""
        return Process(name, arguments, self.log(name), self.project.directory, self.environment)

    def calls(self) -> int:
        """How often the model was asked."""
        count: int = httpx.get(self.model_url.removesuffix("/v1") + "/health", trust_env=False).json()["calls"]
        return count

    def rows(self, name: str, count: int) -> list[Row]:
        """The first rows of a data file."""
        return [json.loads(line) for line in (DATA / f"{name}.jsonl").read_text("utf-8").splitlines()[:count]]


def start_model(demo: Demo) -> None:
    """The offline model, on a port of its own."""
    with demo.show.step("starting the offline model"):
        port = "--port=8200" if _is_free(8200) else "--port=0"
        process = demo.start("offline-model", sys.executable, "-m", "examples.spec_to_review.offline", port)
        demo.model_url = process.line().removeprefix("ready ")
        demo.project.write_settings(demo.model_address)


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def optimize(demo: Demo) -> None:
    """The baseline, and MIPROv2."""
    size = demo.size
    with demo.show.step(f"MIPROv2: {size.trials} trials on {size.train} + {size.validation} specifications") as step:
        options = [f"--train={size.train}", f"--validation={size.validation}", f"--trials={size.trials}"]
        place = [f"--api-base={demo.model_url}", f"--out={demo.project.state}"]
        command = [sys.executable, "-m", "examples.spec_to_review.optimize", *place, *options]
        found = json.loads(demo.command("optimize", *command, heard=_progress(step)))
    for kind in ("baseline", "optimized"):
        part = found[kind]
        demo.figures.append(
            Figure(_TITLES[kind], size.validation, part["score"], part["passed"], part["calls"], part["seconds"])
        )
    demo.optimized = found["optimized"]["score"]
    demo.facts |= {"search": found["search"]}
    demo.show.note(f"from {found['baseline']['score']:.3f} to {demo.optimized:.3f} on the validation set")


_TITLES = {"baseline": "baseline, in DSPy", "optimized": "optimized, in DSPy"}


def export(demo: Demo) -> None:
    """Compile, with wire equality."""
    with demo.show.step("t0dspy export spec_to_review"):
        said = demo.command("export", *t0dspy("export", NAME))
    for line in said.splitlines():
        if line.strip().startswith(("prompts", "served by", "traffic")):
            demo.show.note(line.strip())


def serve(demo: Demo) -> None:
    """The gateway, ClickHouse and the program server."""
    with demo.show.step("t0dspy up"):
        ports = [f"--{name}-port=0" for name in ("gateway", "clickhouse", "programs")]
        process = demo.start("up", *t0dspy("up", *ports))
        if (said := process.line()) != "ready":
            raise DemoError(f"t0dspy up said {said!r}.\n{process.last_output()}")
        urls: dict[str, str] = {}
        while "programs" not in urls:
            name, url = process.line().split()
            urls[name] = url
        demo.urls = urls


def call_validation(demo: Demo) -> None:
    """The validation specifications through the gateway, with both clients; the score must be the optimized one."""
    rows = demo.rows("validation", demo.size.validation)
    for name, client in (("TensorZero's client", clients.with_tensorzero), ("OpenAI's SDK", clients.with_openai)):
        figure, answers = measure(demo, f"served, {name}", client(demo.urls["gateway"]), rows)
        if figure.score != demo.optimized:
            raise DemoError(
                f"{name} got {figure.score} through the gateway, but DSPy measured {demo.optimized} for the same "
                f"program on the same specifications. They must be equal. The answers are in {_kept(demo, answers)}."
            )
        demo.answers += answers
    demo.show.note("both scores equal the optimized one exactly")


def call_fresh(demo: Demo) -> None:
    """Specifications that nobody has seen, from a seed of this moment."""
    functions, words = demo.size.large
    large = generate(f"{demo.seed} large", functions=functions, words=words)
    rows = generate(demo.seed, demo.size.fresh) + large
    demo.facts["fresh seed"] = demo.seed
    call = clients.with_tensorzero(demo.urls["gateway"])
    _, answers = measure(demo, f"fresh, from seed {demo.seed}", call, rows)
    demo.answers += answers
    sections = [len(one.output["sections"]) for one in answers]
    lengths = [len(str(row["spec"]).split()) for row in rows]
    demo.show.note(
        f"{min(lengths)} to {max(lengths):,} words, {min(sections)} to {max(sections)} sections: the same functions"
    )


def give_feedback(demo: Demo) -> None:
    """Rate the answers by the hidden tests; correct or comment on some that are wrong."""
    feedback = [row for index, answer in enumerate(demo.answers) for row in _feedback_on(index, answer)]
    with demo.show.step("feedback") as step:
        clients.give_feedback(demo.urls["gateway"], feedback, lambda done: step.at(done, len(feedback)))
    counts = Counter(metric for _, metric, _ in feedback)
    demo.facts["feedback"] = dict(counts)
    demo.show.note(", ".join(f"{count} × {name}" for name, count in counts.items()))


def _feedback_on(index: int, answer: Answered) -> Iterator[clients.Feedback]:
    grade = graded(answer.row, answer.output)
    yield answer.inference_id, "good", is_good(grade)
    if not grade.passed and index % 2:
        yield answer.inference_id, "demonstration", correction(answer)
    elif grade.failures:
        yield answer.inference_id, "comment", f"Wrong: {grade.failures[0]}"


def measure(demo: Demo, label: str, call: Call, rows: Sequence[Row]) -> tuple[Figure, list[Answered]]:
    """Call the program for each row, and grade the answers."""
    before, start = demo.calls(), time.monotonic()
    with demo.show.step(label) as step:
        answers = clients.each(call, rows, lambda done: step.at(done, len(rows)))
        seconds = time.monotonic() - start
        grades = [graded(answer.row, answer.output) for answer in answers]
    score, passed = mean([grade.score for grade in grades]), sum(map(is_good, grades))
    figure = Figure(label, len(rows), score, passed, demo.calls() - before, round(seconds, 1))
    demo.figures.append(figure)
    return figure, answers


def is_good(grade: Grade) -> bool:
    """Return whether a user is satisfied: the code works, and the review is right."""
    return grade.passed and grade.agrees


def correction(answer: Answered) -> dict[str, Any]:
    """What a person would have written in place of the answer."""
    tests = [f"assert {call} == {result}" for one in answer.row["dspy_hidden_tests"] for call, result in one["cases"]]
    right = {"code": answer.row["dspy_solution"], "tests": "\n".join(tests)}
    return {**answer.output, **right, "review": {"approved": True, "findings": []}}


def _progress(step: Step) -> Callable[[str], None]:
    def heard(line: str) -> None:
        if found := _PROGRESS.match(line):
            step.at(int(found.group(1)), int(found.group(2)))

    return heard


def _kept(demo: Demo, answers: Sequence[Answered]) -> Path:
    path = demo.project.directory / "unequal.json"
    path.write_text(json.dumps([dict(one.output) for one in answers], indent=2), encoding="utf-8")
    return path
