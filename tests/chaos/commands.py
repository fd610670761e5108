"""Commands that are killed at random moments: what is written and what is served is the old state or the new one."""

import random
import subprocess
import time
from collections.abc import Iterator

import dspy

from chaos.accounts import Row
from chaos.stacks import ChaosStack, Ground
from support.served import APPS
from support.stack import COMMAND, bare_environment
from t0dspy.artifact.bundle import edited_by_hand, read_tree
from t0dspy.artifact.exported import ExportedProgram
from t0dspy.rollout.pending import Journal
from t0dspy.rollout.rollout import finish, set_traffic
from t0dspy.rollout.served import read_served

FUNCTIONS = ("tales", "tales__plan", "tales__write")
KINDS = ("traffic", "rollback", "apply", "export")


def kill_commands(ground: Ground, rounds: int) -> Iterator[Row]:
    """`kill -9` of traffic, rollback, apply and export, with the next command to finish what was left."""
    mixed = unread = unfinished = 0
    dice = random.Random(90)
    with ground.stack() as stack:
        stack.start()
        stack.settings()
        set_traffic(stack.place, "tales", {"v1": 1.0}, applying=True)  # one version at a time from here on
        for turn in range(rounds):
            _kill(stack, KINDS[turn % len(KINDS)], turn, dice)
            mixed += len(_served(stack)) != 1
            finish(stack.place)
            unfinished += Journal(stack.configs).read_pending() is not None
            mixed += len(_served(stack)) != 1
            unread += not _whole(stack)
        stack.stop()
    yield Row("kills of commands", "kills", rounds)
    yield Row("kills of commands", "mixed states served", 2 * rounds, mixed)
    yield Row("kills of commands", "trees that are neither old nor new", rounds, unread)
    yield Row("kills of commands", "changes not finished by the next command", rounds, unfinished)


def _kill(stack: ChaosStack, kind: str, turn: int, dice: random.Random) -> None:
    version = f"v{1 + turn // len(KINDS) % 2}"
    arguments = {
        "traffic": ["traffic", "tales", f"{version}=1", "--apply"],
        "rollback": ["rollback", "tales", "--to", version],
        "apply": ["apply"],
        "export": [
            *("export", "stories:question", "--name", "question", "--state", str(_state(stack, turn))),
            *("--model", "m", "--adapter", "chat", "--no-verify", "--traffic", "1", "--apply"),
        ],
    }[kind]
    env = {**bare_environment(), "PYTHONPATH": str(APPS)}
    process = subprocess.Popen(
        [COMMAND, *arguments], cwd=stack.directory, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    time.sleep(dice.uniform(0.3, 4.0 if kind == "export" else 2.5))
    process.kill()
    process.wait()


def _state(stack: ChaosStack, turn: int) -> str:
    program = dspy.Predict("question -> answer")
    program.signature = program.signature.with_instructions(f"Instructions number {turn}.")
    path = stack.directory / "state.json"
    program.save(str(path))
    return str(path)


def _served(stack: ChaosStack) -> set[str]:
    """The versions that the program and its stages serve; more than one would be a mix."""
    place = stack.place
    config = read_served(place.gateway_url, place.clickhouse_url).config
    assert config is not None
    entries = [config["functions"][name]["experimentation"]["candidate_variants"] for name in FUNCTIONS]
    return {version for entry in entries for version in entry}


def _whole(stack: ChaosStack) -> bool:
    for name in ("tales", "question"):
        program = ExportedProgram.read(stack.configs, name)
        if edited_by_hand(read_tree(program.directory), program.manifest.files):
            return False
        if program.manifest.history and program.manifest.history[-1].after != program.shares:
            return False
    return True
