"""Apply: make the gateway serve what is written, and put the old files back if it refuses them.

A gateway that cannot be reached, or that ends meanwhile, refuses nothing: then the files stay as they are.
"""

import shutil
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from t0dspy.artifact.exported import ExportedProgram
from t0dspy.artifact.user_config import toml_files
from t0dspy.errors import RolloutError, T0dspyError, UnconfirmedError
from t0dspy.rollout.compose import gateway_container
from t0dspy.rollout.gateways import Action, Command, Verdict, embedded, status
from t0dspy.rollout.pending import Files, Journal, Pending, config_files, same_config
from t0dspy.rollout.restore import restore
from t0dspy.rollout.served import look
from t0dspy.settings import ApplySettings, Settings
from t0dspy.stack.processes.locate import locate

Say = Callable[[str], None]


def now() -> str:
    """The time as history records it."""
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


@dataclass(frozen=True)
class Place:
    """Where the configs are, and who serves them."""

    configs: Path
    gateway_url: str
    clickhouse_url: str = field(repr=False)  # may hold a password
    how: ApplySettings = field(default_factory=ApplySettings)
    given: bool = False
    """Whether somebody named the gateway; else the embedded stack that runs here says where it is."""
    say: Say = field(default=lambda text: None, repr=False)
    pause: Callable[[float], None] = field(default=time.sleep, repr=False)

    @classmethod
    def of(cls, settings: Settings, say: Say) -> "Place":
        """The place that `settings` name; where they name none, that of the stack that runs here."""
        settings = locate(settings)
        gateway, database = settings.gateway_url, settings.clickhouse_url
        return cls(settings.configs_dir, gateway.value, database.value, settings.apply, given=gateway.given, say=say)


@dataclass(frozen=True)
class Applied:
    """What an apply did."""

    what: str
    """Whom it talked to."""
    config_hash: str
    """What the gateway serves now."""
    seconds: float
    unchanged: bool = False
    """True when the gateway served this already, and nothing was done."""


def choose(place: Place) -> Action:
    """The way to the gateway: the command from the settings, else the embedded stack here, else compose's container.

    Raises:
        RolloutError: there is none, or there are several.
    """
    if place.how.command:
        if shutil.which(place.how.command[0]) is None:
            raise RolloutError(
                f"there is no command {place.how.command[0]!r} on this machine. Correct `command` in "
                "[tool.t0dspy.apply]; nothing was changed."
            )
        return Command(place.how.command, place.gateway_url, place.how.timeout)
    stack = embedded(Path(place.how.data_dir))
    if stack is not None and (not place.given or _port(stack.gateway_url) == _port(place.gateway_url)):
        if stack.configs != place.configs.resolve():
            raise RolloutError(f"{stack.what} serves {stack.configs}, not {place.configs.resolve()} (--configs).")
        return stack
    directory = place.configs.resolve().parent
    container = gateway_container(directory, place.how.service, place.how.project, place.gateway_url)
    if container is not None:
        return container
    raise RolloutError(
        f"there is no gateway to apply to: no embedded stack runs in {place.how.data_dir}, and no container of a "
        f"compose service {place.how.service!r} was found (that needs `pip install 't0dspy[docker]'`). Start one, or "
        "set `command` in [tool.t0dspy.apply]."
    )


def check_toml(configs: Path) -> None:
    """Look whether the gateway can read what is written at all.

    Raises:
        RolloutError: a file below `configs` is no TOML. Nothing has been changed, and nothing need be put back.
    """
    for path in toml_files(configs):
        try:
            tomllib.loads(path.read_text(encoding="utf-8"))
        except (ValueError, OSError) as error:
            raise RolloutError(f"{path}: cannot be read as TOML: {error}. Correct it; nothing was changed.") from error


def apply(place: Place, action: Action, journal: Journal, pending: Pending) -> Applied:
    """Have the gateway load what is written, and wait until it serves it; call it while the journal is held.

    Args:
        place: the configs and who serves them.
        action: the way to the gateway.
        journal: where the change stands as begun, and where its end is noted.
        pending: the change.

    Raises:
        RolloutError: the gateway refused; the old files are back and served, or why not.
        UnconfirmedError: the gateway could not be reached or ended; the files stay, and the change stays pending.
    """
    began = time.monotonic()
    files = config_files(place.configs)
    known = journal.served()
    if known and same_config(known.files, files) and status(action.gateway_url) == known.config_hash:
        journal.end()
        return Applied(action.what, known.config_hash, time.monotonic() - began, unchanged=True)
    journal.begin(pending)
    verdict = _tried(place, action)
    if verdict.unconfirmed:
        raise UnconfirmedError(_unconfirmed(place, pending, verdict.unconfirmed))
    if verdict.config_hash is None:
        raise _put_back(place, action, journal, pending, verdict)
    journal.note_served(verdict.config_hash, files)
    journal.end()
    return Applied(action.what, verdict.config_hash, time.monotonic() - began)


def put_back(place: Place, action: Action, journal: Journal, pending: Pending) -> Applied:
    """Go on with putting back the files of a change that was refused.

    Raises:
        RolloutError: always; it says what serves now.
    """
    raise _put_back(place, action, journal, pending, Verdict(None, "the gateway did not take it."))


def _put_back(place: Place, action: Action, journal: Journal, pending: Pending, refused: Verdict) -> RolloutError:
    why = f"{action.what} did not take it: {refused.refusal}"
    if pending.old is None or (pending.stale and refused.still_serving):
        journal.end()
        serves = "it goes on with what it served" if status(action.gateway_url) else "no gateway answers now"
        return RolloutError(f"{why}\nThe files that it serves are not known here, so nothing is put back; {serves}.")
    journal.begin(replace(pending, putting_back=True))
    place.say("the gateway did not take it; putting the old files back")
    aside = restore(place.configs, pending.old, now(), refused.refusal.partition("\n")[0])
    kept = f"\nSet aside: {', '.join(aside)}." if aside else ""
    verdict = Verdict(status(action.gateway_url)) if refused.still_serving else _tried(place, action)
    journal.end()
    if verdict.unconfirmed or (refused.still_serving and verdict.config_hash is None):
        why_not = verdict.unconfirmed or "it does not answer any more."
        return RolloutError(
            f"{why}\nThe old files are back, and it is not known whether the gateway serves them: {why_not} "
            f"Run `t0dspy apply` when it is back.{kept}"
        )
    if verdict.config_hash is None:
        return RolloutError(f"{why}\nThe old files are back, but it does not take them either: {verdict.refusal}{kept}")
    journal.note_served(verdict.config_hash, config_files(place.configs))
    return RolloutError(f"{why}\nThe old files are back, and the gateway serves them.{kept}")


def _unconfirmed(place: Place, pending: Pending, why: str) -> str:
    change = "the config" if pending.what == "apply" else f"`{pending.what}`"
    return (
        f"{change} is written in {place.configs}, and nothing was undone, but no gateway confirmed that it "
        f"serves it: {why} Run `t0dspy apply` when the gateway is back. A stack that starts with `t0dspy up` serves it "
        "too."
    )


def _tried(place: Place, action: Action) -> Verdict:
    give_up = time.monotonic() + place.how.timeout
    try:
        action.start()
        while (verdict := action.verdict()) is None and time.monotonic() < give_up:
            place.pause(0.05)
    except RolloutError as error:  # it could not be asked
        return Verdict(None, unconfirmed=str(error))
    return verdict or _overdue(place, action)


def _overdue(place: Place, action: Action) -> Verdict:
    """No word in time: fine where the config means what it meant before, so that its hash is the same."""
    serving = status(action.gateway_url)
    if serving is not None and traffic_is_served(place, action.gateway_url):
        return Verdict(serving)
    answer = f"its config_hash is still {serving}" if serving else "it does not answer"
    return Verdict(None, unconfirmed=f"after {place.how.timeout:g} s {answer}.")


def traffic_is_served(place: Place, gateway_url: str) -> bool:
    """Whether every program's traffic is known to be as written."""
    served = look(gateway_url, place.clickhouse_url)
    try:
        written = [(program.manifest, program.shares) for program in ExportedProgram.read_all(place.configs)]
    except T0dspyError:  # files that cannot be read are not served
        return False
    return bool(written) and all(served.serves(manifest, shares) for manifest, shares in written)


def old_files(journal: Journal, gateway_url: str, before: Files | None) -> tuple[Files | None, bool]:
    """The files to put back if the gateway refuses, and whether it serves something else than those.

    Args:
        journal: what served last.
        gateway_url: who says what serves now.
        before: the files before the change that is to be applied; None where it was written earlier, by whomever.
    """
    known = journal.served()
    fresh = known is not None and status(gateway_url) == known.config_hash
    if known is not None and (fresh or before is None):
        return known.files, not fresh
    return before, False


def _port(url: str) -> str:
    return url.rstrip("/").rpartition(":")[2]
