"""Plan a change of a program's traffic, and write it together with its entry in the history."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from t0dspy.artifact import bundle, rollout_toml
from t0dspy.artifact.bundle import MANIFEST, ROLLOUT
from t0dspy.artifact.exported import ExportedProgram
from t0dspy.artifact.hand_edits import hand_edit_notes
from t0dspy.artifact.manifest import Change
from t0dspy.errors import SettingsError
from t0dspy.rollout.code_fits import Fits
from t0dspy.rollout.history import awaiting_review, previous_incumbent
from t0dspy.rollout.shares import check_versions


@dataclass(frozen=True)
class Planned:
    """A planned change."""

    program: ExportedProgram
    change: Change
    files: Mapping[str, str] = field(repr=False)
    """The files to write, by path; empty if the traffic would not change."""
    notes: Sequence[str] = ()


def plan_traffic(
    program: ExportedProgram, shares: Mapping[str, float], time: str, reason: str | None = None
) -> Planned:
    """Plan the change that gives `shares` to the versions of `program`, and no traffic to other versions.

    Args:
        program: the program.
        shares: the share of each version.
        time: the current time, in the format of the history.
        reason: the reason for the history; by default the requested shares.

    Raises:
        SettingsError: a version cannot have traffic.
    """
    requested = " ".join(f"{version}={share:g}" for version, share in shares.items())
    return _plan(program, Change(time, reason or f"traffic {requested}", program.shares, shares))


def plan_rollback(program: ExportedProgram, to: str | None, time: str, reason: str | None = None) -> Planned:
    """Plan the change that gives all traffic to the previous incumbent, or to the version `to`.

    Raises:
        SettingsError: there was no previous incumbent, or the version cannot have traffic.
    """
    target = to or previous_incumbent(program.manifest.history, program.shares)
    if target is None:
        raise SettingsError(_nowhere_back(program))
    default = f"rollback --to {to}" if to else "rollback"
    planned = _plan(program, Change(time, reason or default, program.shares, {target: 1.0}, undo=True))
    return planned if to else replace(planned, notes=[*planned.notes, *_canary_ended(program)])


def write(planned: Planned) -> None:
    """Write the change. The caller must hold the lock of the program's directory since before the plan was made."""
    if planned.files:
        bundle.write_tree(planned.program.directory, planned.files)


def _canary_ended(program: ExportedProgram) -> list[str]:
    """Return a note for users who only wanted to end a canary."""
    present = rollout_toml.incumbent(program.shares)
    others = [version for version in program.shares if version != present]
    if not others:
        return []
    command = f"t0dspy traffic {program.name} {present}=1 --apply"
    return [f"this rolled back {present}, the incumbent. To keep it and only end {', '.join(others)}, run `{command}`."]


def _nowhere_back(program: ExportedProgram) -> str:
    present = rollout_toml.incumbent(program.shares)
    others = [version for version in program.shares if version != present]
    hint = f"t0dspy traffic {program.name} {present}=1 --apply" if others else f"t0dspy rollback {program.name} --to V"
    effect = f"takes the traffic of {', '.join(others)} away" if others else "goes to a version of your choice"
    return f"{program.name} had no incumbent before {present}, so there is nothing to go back to. `{hint}` {effect}."


def _plan(program: ExportedProgram, change: Change) -> Planned:
    check_versions(change.after, program)
    notes = [*Fits(program).check(change.after), *hand_edit_notes(program, change.after)]
    manifest = program.manifest.with_change(change).to_json()
    if dict(change.after) == dict(change.before):
        decided = awaiting_review(program.manifest)
        confirmed = [f"{', '.join(decided)} gets no traffic; the history records that decision."] if decided else []
        return Planned(program, change, {MANIFEST: manifest} if decided else {}, [*notes, *confirmed])
    rollout = rollout_toml.render(program.file(ROLLOUT), program.manifest, change.after, program.rollout_path)
    return Planned(program, change, {ROLLOUT: rollout, MANIFEST: manifest}, notes)
