"""The whole of `t0dspy traffic`, `rollback` and `apply`: change, apply, and finish what was cut off."""

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
    """What a change of traffic did."""

    name: str
    before: Mapping[str, float]
    after: Mapping[str, float]
    written: bool
    """False when the traffic was so already."""
    applied: Applied | None
    """None when it was not to be applied: written, not serving."""
    notes: Sequence[str]
    seconds: float


def set_traffic(
    place: Place, name: str, shares: Mapping[str, float], *, applying: bool, reason: str | None = None
) -> Changed:
    """Give exactly `shares` to the versions of a program.

    Args:
        place: the configs and who serves them.
        name: the program.
        shares: version -> share, all of the traffic.
        applying: make the gateway serve it.
        reason: why, for the history.

    Raises:
        SettingsError: a version may hold no traffic.
        RolloutError: the gateway refused it, and the old shares are back.
        UnconfirmedError: the gateway could not be reached; the shares are written, and nothing is undone.
    """
    return _change(place, name, lambda program: plan_traffic(program, shares, now(), reason), applying, "traffic")


def undo(
    place: Place, name: str, to: str | None = None, *, applying: bool = True, reason: str | None = None
) -> Changed:
    """Give all traffic of a program to the last incumbent other than the present one, or to the version `to`.

    Raises:
        SettingsError: there was no other incumbent, or the version may hold no traffic.
        RolloutError: the gateway refused it, and the old shares are back.
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
    """Take a program's last change of incumbent back, and have the gateway serve that.

    Args:
        name: the program.
        to: the version to go back to; by default the last incumbent other than the present one.
        configs: the directory of TensorZero's config.
        gateway_url: the gateway; by default that of the settings, or the embedded stack that runs here.
        apply: False only writes.
        reason: why, for the history.

    Raises:
        SettingsError: there was no other incumbent, or the version may hold no traffic.
        RolloutError: the gateway refused it, and the old shares are back.
        UnconfirmedError: the gateway could not be reached; the shares are written, and nothing is undone.
    """
    place = Place.of(load_settings(configs=configs, gateway_url=gateway_url), say=lambda text: None)
    return undo(place, name, to, applying=apply, reason=reason)


def apply_all(place: Place) -> Applied:
    """Make the gateway serve all that is written.

    Raises:
        RolloutError: it did not take it; the files that served last are back, where they are known.
    """
    return applied_after(place, "apply", lambda: None)[1]


def applied_after(place: Place, what: str, work: Callable[[], T]) -> tuple[T, Applied]:
    """Do `work`, which writes below the configs, then make the gateway serve it.

    Args:
        place: the configs and who serves them.
        what: what is done, for whoever finds it cut off.
        work: writes, or raises and leaves everything as it was.

    Raises:
        RolloutError: there is no gateway to apply to, and nothing was done; or it refused, and the old files are back.
    """
    journal = Journal(place.configs)
    with journal.held():
        action = choose(place)
        _finish(place, journal, action)
        check_toml(place.configs)
        before = None if what == "apply" else config_files(place.configs)
        left = journal.pending()  # an earlier change that is still not confirmed
        pending = _begun(journal, action, what, before, left)
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


def apply_written(place: Place, what: str, before: Files) -> Applied:
    """Make the gateway serve what was written a moment ago.

    Args:
        place: the configs and who serves them.
        what: what was done, for whoever finds it cut off.
        before: the files as they were, to put back if the gateway refuses.

    Raises:
        RolloutError: it did, and the old files are back.
    """
    journal = Journal(place.configs)
    with journal.held():
        action = choose(place)
        return apply(place, action, journal, _begun(journal, action, what, before, journal.pending()))


def _begun(journal: Journal, action: Action, what: str, before: Files | None, left: Pending | None) -> Pending:
    """Return the pending change; the files to put back are those from before a change that is not confirmed yet."""
    if left is not None and not left.putting_back:
        return Pending(what, left.old, left.stale)
    return Pending(what, *old_files(journal, action.gateway_url, before))


def finish(place: Place) -> None:
    """Finish what a killed command had begun, and say so; without a gateway say that it waits."""
    journal = Journal(place.configs)
    pending = journal.pending()
    if pending is None:
        return
    try:
        with journal.held(seconds=0):
            _finish(place, journal, choose(place))
    except RolloutError as error:
        place.say(f"`{pending.what}` is not known to be served: {error}")


def _finish(place: Place, journal: Journal, action: Action) -> None:
    pending = journal.pending()
    if pending is None:
        return
    place.say(f"`{pending.what}` was cut off before the gateway was known to serve it; finishing it now.")
    try:
        (put_back if pending.putting_back else apply)(place, action, journal, pending)
    except RolloutError as error:  # refused: the old files are back; unconfirmed: the change stays pending
        place.say(str(error))


def _change(place: Place, name: str, plan: Callable[[ExportedProgram], Planned], applying: bool, verb: str) -> Changed:
    began = time.monotonic()
    present = ExportedProgram.read(place.configs, name)
    _ = present.shares  # errors of the name and of rollout.toml come before anything is done

    def work() -> Planned:
        with bundle.locked(present.directory):
            planned = plan(ExportedProgram.read(place.configs, name))
            write(planned)
        return planned

    if applying:
        planned, applied = applied_after(place, f"{verb} {name}", work)
    else:
        planned, applied = _written(place, work), None
    change = planned.change
    seconds = time.monotonic() - began
    return Changed(name, change.before, change.after, bool(planned.files), applied, planned.notes, seconds)


def _written(place: Place, work: Callable[[], T]) -> T:
    with Journal(place.configs).held():
        return work()
