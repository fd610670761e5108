"""Parse and check requested shares before anything is written."""

import math
from collections.abc import Mapping, Sequence

from t0dspy.artifact import rollout_toml
from t0dspy.artifact.exported import ExportedProgram
from t0dspy.errors import SettingsError

_TOLERANCE = 1e-6


def parse_shares(texts: Sequence[str]) -> rollout_toml.Shares:
    """Parse shares from texts such as `v1=0.9`.

    Raises:
        SettingsError: a text is not a share, a version is given twice, or the shares do not add up to 1.
    """
    shares: rollout_toml.Shares = {}
    for text in texts:
        version, equals, number = text.partition("=")
        if not equals or not version:
            raise SettingsError(f"{text!r} is not a share. Write VERSION=SHARE, such as v1=0.9.")
        if version in shares:
            raise SettingsError(f"{version} is given twice. Give each version one share.")
        shares[version] = _share(version, number)
    check_sum(shares)
    return shares


def _share(version: str, text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        raise SettingsError(f"the share of {version} is {text!r}; write a number, such as 0.9.") from None
    if share == 0:
        raise SettingsError(f"a share of 0 for {version}: leave it out, and it gets none.")
    rollout_toml.check_share(share, version)
    return share


def check_sum(shares: Mapping[str, float]) -> None:
    """Check that `shares` add up to 1.

    Raises:
        SettingsError: they do not.
    """
    total = math.fsum(shares.values())
    if abs(total - 1) > _TOLERANCE:
        listed = " ".join(f"{version}={share:g}" for version, share in shares.items())
        raise SettingsError(
            f"{listed} add up to {total:.6g}, not 1. Name every version that should have traffic; the others get none."
        )


def check_versions(shares: Mapping[str, float], program: ExportedProgram) -> None:
    """Check that each version of the requested `shares` can answer.

    Raises:
        SettingsError: a version is unknown, or its folder is gone, or the program takes only one version at a time.
    """
    name, manifest = program.name, program.manifest
    known = manifest.versions_of(name)
    for version in shares:
        if version not in known:
            raise SettingsError(f"{manifest.unknown_version(version, name)}.")
        if f"{version}/variant.toml" not in program.files:
            raise SettingsError(
                f"{version} of {name} has no folder {version}/ any more, so it cannot answer. "
                "Restore it from version control."
            )
    if len(shares) > 1 and name not in manifest.functions:
        raise SettingsError(
            f"{name} was exported without a program function, so its calls cannot be shared. Give one version "
            f"all of them: t0dspy traffic {name} {known[-1]}=1"
        )
