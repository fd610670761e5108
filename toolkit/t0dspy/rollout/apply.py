"""Apply the written config to the gateway, and restore the old files if the gateway refuses it.

A gateway that cannot be reached, or that ends during the apply, has not refused the config, so the files stay.
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
from t0dspy.rollout.compose import find_container
from t0dspy.rollout.gateways import Action, Command, Verdict, find_embedded, read_config_hash
from t0dspy.rollout.pending import Files, Journal, Pending, config_files, same_config
from t0dspy.rollout.restore import restore
from t0dspy.rollout.served import read_served
from t0dspy.settings import ApplySettings, Settings
from t0dspy.stack.processes.locate import locate

Show = Callable[[str], None]


def now() -> str:
    """Return the current time in the format of the history."""
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


@dataclass(frozen=True)
class Place:
    """The configs and the gateway that serves them."""

    configs: Path
    gateway_url: str
    clickhouse_url: str = field(repr=False)  # may hold a password
    how: ApplySettings = field(default_factory=ApplySettings)
    given: bool = False
    """Whether the URL of the gateway was given; else it is that of the running embedded stack."""
    show: Show = field(default=lambda text: None, repr=False)
    pause: Callable[[float], None] = field(default=time.sleep, repr=False)

    @classmethod
    def of(cls, settings: Settings, show: Show) -> "Place":
        """Return the place from `settings`, completed with the URLs of the running embedded stack."""
        settings = locate(settings)
        gateway, database = settings.gateway_url, settings.clickhouse_url
        return cls(settings.configs_dir, gateway.value, database.value, settings.apply, given=gateway.given, show=show)


@dataclass(frozen=True)
class Applied:
    """The result of an apply."""

    target: str
    """The gateway that was reloaded, for people."""
    config_hash: str
    """The hash of the served config."""
    seconds: float
    unchanged: bool = False
    """Whether the gateway served this config already, so that nothing was done."""


def choose(place: Place) -> Action:
    """Choose how to reload the gateway: the settings' command, else the embedded stack, else the compose container.

    Raises:
        RolloutError: there is no gateway, or there are several.
    """
    if place.how.command:
        if shutil.which(place.how.command[0]) is None:
            raise RolloutError(
                f"there is no command {place.how.command[0]!r} on this machine. Correct `command` in "
                "[tool.t0dspy.apply]; nothing was changed."
            )
        return Command(place.how.command, place.gateway_url, place.how.timeout)
    stack = find_embedded(Path(place.how.data_dir))
    if stack is not None and (not place.given or _port(stack.gateway_url) == _port(place.gateway_url)):
        if stack.configs != place.configs.resolve():
            raise RolloutError(f"{stack.target} serves {stack.configs}, not {place.configs.resolve()} (--configs).")
        return stack
    directory = place.configs.resolve().parent
    container = find_container(directory, place.how.service, place.how.project, place.gateway_url)
    if container is not None:
        return container
    raise RolloutError(
        f"there is no gateway to apply to: no embedded stack runs in {place.how.data_dir}, and no container of a "
        f"compose service {place.how.service!r} was found (that needs `pip install 't0dspy[docker]'`). Start one, or "
        "set `command` in [tool.t0dspy.apply]."
    )


def check_toml(configs: Path) -> None:
    """Check that all config files are TOML, before anything is changed.

    Raises:
        RolloutError: a file below `configs` is not TOML.
    """
    for path in toml_files(configs):
        try:
            tomllib.loads(path.read_text(encoding="utf-8"))
        except (ValueError, OSError) as error:
            raise RolloutError(f"{path}: cannot be read as TOML: {error}. Correct it; nothing was changed.") from error


def apply(place: Place, action: Action, journal: Journal, pending: Pending) -> Applied:
    """Make the gateway load the written config, and wait until it serves it. The caller must hold the journal.

    If the new config is equivalent to the served one, return immediately.

    Args:
        place: the configs and the gateway.
        action: how to reload the gateway.
        journal: the journal, which records the change until it is served.
        pending: the change.

    Raises:
        RolloutError: the gateway refused the config; the message says whether the old files are back and served.
        UnconfirmedError: the gateway could not be reached or ended; the files stay, and the change stays pending.
    """
    began = time.monotonic()
    files = config_files(place.configs)
    known = journal.read_served()
    if known and same_config(known.files, files) and read_config_hash(action.gateway_url) == known.config_hash:
        journal.end()
        return Applied(action.target, known.config_hash, time.monotonic() - began, unchanged=True)
    journal.begin(pending)
    verdict = _reload(place, action)
    if verdict.unconfirmed:
        raise UnconfirmedError(_unconfirmed(place, pending, verdict.unconfirmed))
    if verdict.config_hash is None:
        raise _put_back(place, action, journal, pending, verdict)
    journal.note_served(verdict.config_hash, files)
    journal.end()
    return Applied(action.target, verdict.config_hash, time.monotonic() - began)


def put_back(place: Place, action: Action, journal: Journal, pending: Pending) -> Applied:
    """Continue to restore the files of a refused change.

    Raises:
        RolloutError: always; the message says which config the gateway serves.
    """
    raise _put_back(place, action, journal, pending, Verdict(None, "the gateway refused it before."))


def _put_back(place: Place, action: Action, journal: Journal, pending: Pending, refused: Verdict) -> RolloutError:
    why = f"{action.target} refused the config: {refused.refusal}"
    if pending.old is None or (pending.stale and refused.still_serving):
        journal.end()
        serves = "it still serves the old config" if read_config_hash(action.gateway_url) else "no gateway answers now"
        return RolloutError(f"{why}\nThe files that it served are not known here, so nothing is restored; {serves}.")
    journal.begin(replace(pending, putting_back=True))
    place.show("the gateway refused the config; restoring the old files")
    aside = restore(place.configs, pending.old, now(), refused.refusal.partition("\n")[0])
    kept = f"\nSet aside: {', '.join(aside)}." if aside else ""
    verdict = Verdict(read_config_hash(action.gateway_url)) if refused.still_serving else _reload(place, action)
    journal.end()
    if verdict.unconfirmed or (refused.still_serving and verdict.config_hash is None):
        why_not = verdict.unconfirmed or "it does not answer any more."
        return RolloutError(
            f"{why}\nThe old files are back, and it is not known whether the gateway serves them: {why_not} "
            f"Run `t0dspy apply` when it is back.{kept}"
        )
    if verdict.config_hash is None:
        return RolloutError(f"{why}\nThe old files are back, but it refuses them too: {verdict.refusal}{kept}")
    journal.note_served(verdict.config_hash, config_files(place.configs))
    return RolloutError(f"{why}\nThe old files are back, and the gateway serves them.{kept}")


def _unconfirmed(place: Place, pending: Pending, why: str) -> str:
    change = "the config" if pending.what == "apply" else f"`{pending.what}`"
    return (
        f"{change} is written in {place.configs}, and nothing was undone, but no gateway confirmed that it "
        f"serves it: {why} Run `t0dspy apply` when the gateway is back. A stack that starts with `t0dspy up` serves it "
        "too."
    )


def _reload(place: Place, action: Action) -> Verdict:
    give_up = time.monotonic() + place.how.timeout
    try:
        action.start()
        while (verdict := action.poll()) is None and time.monotonic() < give_up:
            place.pause(0.05)
    except RolloutError as error:  # the gateway could not be reached
        return Verdict(None, unconfirmed=str(error))
    return verdict or _overdue(place, action)


def _overdue(place: Place, action: Action) -> Verdict:
    """Return the verdict after a timeout: served if the hash did not change because the config is equivalent."""
    serving = read_config_hash(action.gateway_url)
    if serving is not None and traffic_is_served(place, action.gateway_url):
        return Verdict(serving)
    answer = f"its config_hash is still {serving}" if serving else "it does not answer"
    return Verdict(None, unconfirmed=f"after {place.how.timeout:g} s {answer}.")


def traffic_is_served(place: Place, gateway_url: str) -> bool:
    """Return whether the gateway is known to serve the written traffic of every program."""
    served = read_served(gateway_url, place.clickhouse_url)
    try:
        written = [(program.manifest, program.shares) for program in ExportedProgram.read_all(place.configs)]
    except T0dspyError:  # files that cannot be read are not served
        return False
    return bool(written) and all(served.serves(manifest, shares) for manifest, shares in written)


def old_files(journal: Journal, gateway_url: str, before: Files | None) -> tuple[Files | None, bool]:
    """Return the files to restore if the gateway refuses the config, and whether it now serves other files.

    Args:
        journal: the journal with the files that were served last.
        gateway_url: the gateway, which reports the hash of the served config.
        before: the files before the change; None if the change was written before this command.
    """
    known = journal.read_served()
    fresh = known is not None and read_config_hash(gateway_url) == known.config_hash
    if known is not None and (fresh or before is None):
        return known.files, not fresh
    return before, False


def _port(url: str) -> str:
    return url.rstrip("/").rpartition(":")[2]
