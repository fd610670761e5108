"""Check whether the current code fits a version. A version that does not fit cannot have traffic."""

import contextlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from t0dspy.artifact.exported import ExportedProgram
from t0dspy.errors import SettingsError, T0dspyError
from t0dspy.readiness.problems import code_warning

if TYPE_CHECKING:
    import dspy


@dataclass(frozen=True)
class Fit:
    """Whether the code fits a version."""

    fits: bool | None
    """None if it is not known."""
    why: str = ""
    """The reason why it does not fit, or why that is not known."""
    changed: str = ""
    """The files whose code changed since the export, although it fits; empty if none did."""


class Fits:
    """The fit of each version of a program. The program's code is imported when it is first needed."""

    def __init__(self, program: ExportedProgram) -> None:
        self._program, self._manifest = program, program.manifest

    def of(self, version: str) -> Fit:
        """Return the fit of `version`. A version that the gateway answers alone needs no code, so it always fits."""
        if not self._manifest.versions[version].runs_on_server:
            return Fit(True)
        if isinstance(self._live, str):
            return Fit(None, self._live)
        from t0dspy.program.fits import differences

        texts = differences(self._live, self._program, version)
        return Fit(False, texts[0]) if texts else Fit(True, changed=self._changed(version))

    def check(self, shares: Mapping[str, float]) -> list[str]:
        """Return notes on versions of `shares` whose fit is not known, or whose code changed since their export.

        Raises:
            SettingsError: a version does not fit.
        """
        fits = {version: self.of(version) for version in shares}
        for version, fit in fits.items():
            if fit.fits is False:
                raise SettingsError(
                    f"{version} of {self._manifest.name} may hold no traffic: the code no longer fits it "
                    f"({fit.why}). Choose a version that fits (t0dspy traffic {self._manifest.name}), or export again."
                )
        unknown = [
            f"whether the code fits {version} is not known here: {fit.why}" for version, fit in fits.items() if fit.why
        ]
        name = self._manifest.name
        return unknown + [code_warning(name, version, fit.changed) for version, fit in fits.items() if fit.changed]

    def _changed(self, version: str) -> str:
        from t0dspy.program.load import changed_code

        manifest = self._manifest
        assert not isinstance(self._live, str)  # noqa: S101 - the caller looked
        return changed_code(self._live, manifest.program, manifest.versions[version].code_hash)

    @cached_property
    def _live(self) -> "dspy.Module | str":
        """Return the program, or the reason why it cannot be loaded here."""
        if self._manifest.program is None:
            return "it was exported from a live object, without an import path"
        from t0dspy.program.dspy_version import check_dspy

        try:
            check_dspy()
            from t0dspy.program.load import load_program

            with contextlib.redirect_stdout(sys.stderr):  # stdout is for results only
                return load_program(self._manifest.program)
        except T0dspyError as error:
            return str(error)
