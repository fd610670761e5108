"""Set traffic, roll back and apply, and finish changes that were interrupted."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from t0dspy.artifact import bundle
from t0dspy.artifact.exported import ExportedProgram
from t0dspy.errors import RolloutError
from t0dspy.rollout.apply import Applied, Place, apply, check_toml, choose, now, old_files, put_back
from t0dspy.rollout.change import Planned, plan_rollback, plan_traffic, write
from t0dspy.rollout.gateways import Action
from t0dspy.rollout.pending import Files, Journal, Pending, config_files
from t0dspy.settings import load_settings

T = TypeVar("T")


@dataclass(frozen=True)
class Changed:
    """The result of a change of traffic."""

    name: str
    before: Mapping[str, float]
    """The share of each version before the change."""
    after: Mapping[str, float]
    """The share of each version after the change."""
    written: bool
    """Whether files were written; False if the shares did not change."""
    applied: Applied | None
    """The result of the apply; None if the change was only written."""
    notes: Sequence[str]
    seconds: float
    """The duration of the change, including the apply."""


def set_traffic(
    place: Place, name: str, shares: Mapping[str, float], *, applying: bool, reason: str | None = None
) -> Changed:
    """Give `shares` to the versions of a program, and no traffic to its other versions.

    Args:
        place: the configs and the gateway.
        name: the program.
        shares: the share of each version; they add up to 1.
        applying: whether to apply the change to the gateway.
        reason: the reason for the history.

    Raises:
        SettingsError: a version cannot have traffic.
        RolloutError: the gateway refused the change, and the old shares are back.
        UnconfirmedError: the gateway could not be reached; the shares are written, and nothing is undone.
    """
    return _change(place, name, lambda program: plan_traffic(program, shares, now(), reason), applying, "traffic")


def undo(
    place: Place, name: str, to: str | None = None, *, applying: bool = True, reason: str | None = None
) -> Changed:
    """Give all traffic of a program to its previous incumbent, or to the version `to`.

    Raises:
        SettingsError: there was no previous incumbent, or the version cannot have traffic.
        RolloutError: the gateway refused the change, and the old shares are back.
        UnconfirmedError: the gateway could not be reached; the shares are written, and nothing is undone.
    """
    return _change(place, name, lambda program: plan_rollback(program, to, now(), reason), applying, "rollback")


def rollback(
    name: str,
    to: str | None = None,
    configs: Path | str = "configs",
    gateway_url: str | None = None,
    *,
    apply: bool = True,
    reason: str | None = None,
) -> Changed:
    """Restore the previous incumbent of a program, and apply the config to the gateway.

    Args:
        name: the program.
        to: the version to restore; by default the last incumbent other than the current one.
        configs: the directory of TensorZero's config.
        gateway_url: the URL of the gateway; by default from the settings, else that of the running embedded stack.
        apply: whether to apply the change; if False, it is only written.
        reason: the reason for the history.

    Returns:
        The shares before and after, the result of the apply, notes, and the duration in seconds.

    Raises:
        SettingsError: there was no previous incumbent, or the version cannot have traffic.
        RolloutError: the gateway refused the change, and the old shares are back.
        UnconfirmedError: the gateway could not be reached; the shares are written, and nothing is undone.
    """
    place = Place.of(load_settings(configs=configs, gateway_url=gateway_url), show=lambda text: None)
    return undo(place, name, to, applying=apply, reason=reason)


def apply_all(place: Place) -> Applied:
    """Apply the written config to the gateway.

    Raises:
        RolloutError: the gateway refused the config; the previously served files are back if they are known.
        UnconfirmedError: the gateway could not be reached; nothing is undone.
    """
    return write_and_apply(place, "apply", lambda: None)[1]


def write_and_apply(place: Place, action_name: str, work: Callable[[], T]) -> tuple[T, Applied]:
    """Do `work`, which writes below the configs, then apply the config to the gateway.

    Args:
        place: the configs and the gateway.
        action_name: the command, for the journal.
        work: writes files, or raises without changing any.

    Raises:
        RolloutError: there is no gateway, and nothing was done; or the gateway refused, and the old files are back.
        UnconfirmedError: the gateway could not be reached; nothing is undone.
    """
    journal = Journal(place.configs)
    with journal.hold():
        action = choose(place)
        _finish(place, journal, action)
        check_toml(place.configs)
        before = None if action_name == "apply" else config_files(place.configs)
        left = journal.read_pending()  # an earlier change that is still not confirmed
        pending = _pending(journal, action, action_name, before, left)
        journal.begin(pending)
        try:
            done = work()
        except BaseException:
            if left is None:
                journal.end()
            else:
                journal.begin(left)
            raise
        return done, apply(place, action, journal, pending)


def apply_written(place: Place, action_name: str, before: Files) -> Applied:
    """Apply files that the caller has just written.

    Args:
        place: the configs and the gateway.
        action_name: the command, for the journal.
        before: the files before the change, to restore if the gateway refuses the new ones.

    Raises:
        RolloutError: the gateway refused the config, and the old files are back.
        UnconfirmedError: the gateway could not be reached; nothing is undone.
    """
    journal = Journal(place.configs)
    with journal.hold():
        action = choose(place)
        return apply(place, action, journal, _pending(journal, action, action_name, before, journal.read_pending()))


def _pending(journal: Journal, action: Action, name: str, before: Files | None, left: Pending | None) -> Pending:
    """Return the pending change. Its old files are those from before an earlier change that was not confirmed."""
    if left is not None and not left.putting_back:
        return Pending(name, left.old, left.stale)
    return Pending(name, *old_files(journal, action.gateway_url, before))


def finish(place: Place) -> None:
    """Finish the change of a killed command and report it; without a gateway, report that it is still pending."""
    journal = Journal(place.configs)
    pending = journal.read_pending()
    if pending is None:
        return
    try:
        with journal.hold(seconds=0):
            _finish(place, journal, choose(place))
    except RolloutError as error:
        place.show(f"`{pending.what}` is not confirmed: {error}")


def _finish(place: Place, journal: Journal, action: Action) -> None:
    pending = journal.read_pending()
    if pending is None:
        return
    place.show(f"`{pending.what}` was interrupted before the gateway confirmed it; finishing it now.")
    try:
        (put_back if pending.putting_back else apply)(place, action, journal, pending)
    except RolloutError as error:  # refused: the old files are back; unconfirmed: the change stays pending
        place.show(str(error))


def _change(place: Place, name: str, plan: Callable[[ExportedProgram], Planned], applying: bool, verb: str) -> Changed:
    began = time.monotonic()
    present = ExportedProgram.read(place.configs, name)
    _ = present.shares  # an unknown name or a bad rollout.toml fails before anything is done

    def work() -> Planned:
        with bundle.lock(present.directory):
            planned = plan(ExportedProgram.read(place.configs, name))
            write(planned)
        return planned

    if applying:
        planned, applied = write_and_apply(place, f"{verb} {name}", work)
    else:
        planned, applied = _write_only(place, work), None
    change = planned.change
    seconds = time.monotonic() - began
    return Changed(name, change.before, change.after, bool(planned.files), applied, planned.notes, seconds)


def _write_only(place: Place, work: Callable[[], T]) -> T:
    with Journal(place.configs).hold():
        return work()
