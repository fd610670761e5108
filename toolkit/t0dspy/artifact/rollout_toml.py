"""Read and render `rollout.toml`: the share of the calls that each version gets. People edit it, so comments stay."""

import math
from collections.abc import Mapping
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from t0dspy.artifact.manifest import Manifest
from t0dspy.errors import SettingsError

Shares = dict[str, float]
"""Version -> share of the calls; a version without traffic is absent, never 0 (a 0 still catches others' failures)."""

_HEAD = """\
# Which version of {name} answers what share of the calls: the one file here that is yours to edit.
# Change the shares with `t0dspy traffic {name} v1=0.9 v2=0.1`, or by hand and `t0dspy apply`.
# Leave a version out to give it no traffic; never write 0, since a 0 still answers when the others fail.

"""
_STAGES = """\
# Predictors have no shares of their own: for whoever calls one directly, each answers as the version with the
# largest share. `t0dspy traffic` and `t0dspy rollback` keep these in step.
"""


def incumbent(shares: Mapping[str, float]) -> str | None:
    """Return the version with the largest share, the older of equals; None if no version has traffic."""
    return max(shares, key=lambda version: (shares[version], -int(version[1:]))) if shares else None


def check_share(share: float, version: str) -> None:
    """Check the requested `share` of `version`.

    Raises:
        SettingsError: it is not above 0 and at most 1.
    """
    if not 0 < share <= 1:
        raise SettingsError(f"a share of {share:g} for {version}: give more than 0 and at most 1.")


def with_share(shares: Mapping[str, float], version: str, share: float) -> Shares:
    """Return `shares` with `version` at `share`, and the other shares scaled to what is left.

    Raises:
        SettingsError: the share is not above 0 and at most 1, or no other version could have the rest.
    """
    check_share(share, version)
    others = {name: value for name, value in shares.items() if name != version}
    if share == 1 or not others:
        if share < 1:
            raise SettingsError(f"{version} would be the only version in traffic: give it the whole share, 1.")
        return {version: 1.0}
    scale = (1 - share) / sum(others.values())
    return {**{name: round(value * scale, 6) for name, value in others.items()}, version: round(share, 6)}


def read_shares(text: str, manifest: Manifest, path: str) -> Shares:
    """Return the shares that `rollout.toml` with `text` gives the versions of the program.

    Args:
        text: the content of the file.
        manifest: the program's manifest.
        path: the file's path, for errors.

    Raises:
        SettingsError: the file is not TOML, or lacks the program's shares, or names a version that does not exist.
    """
    sections = _sections(_parse(text, path).unwrap(), path)
    if manifest.name not in manifest.functions:
        return _stage_shares(sections, manifest)
    candidates = sections.get(manifest.name, {}).get("candidate_variants")
    if candidates is None:
        raise SettingsError(
            f"{path}: [functions.{manifest.name}.experimentation] has no candidate_variants. "
            f"Write them with `t0dspy traffic {manifest.name} v1=1`."
        )
    if not isinstance(candidates, dict | list):
        raise SettingsError(f"{path}: candidate_variants of {manifest.name} is {candidates!r}; write {{ v1 = 1 }}.")
    shares: Shares = _as_shares(candidates)
    known = manifest.versions_of(manifest.name)
    for version, share in shares.items():
        if version not in known:
            raise SettingsError(f"{path}: {manifest.unknown_version(version, manifest.name)}.")
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < math.inf:
            raise SettingsError(f"{path}: the share of {version} is {share!r}; give more than 0, or leave it out.")
    return shares


def render(text: str | None, manifest: Manifest, shares: Mapping[str, float], path: str) -> str:
    """Return `rollout.toml` with `shares` for every function of `manifest`; the rest of `text` stays as it was.

    Args:
        text: the present content; None for a new file.
        manifest: the program's manifest, with the version that is about to be written.
        shares: version -> share.
        path: the file's path, for errors.
    """
    document = _parse(_HEAD.format(name=manifest.name) if text is None else text, path)
    present = _sections(document, path)
    added = ""
    for name, candidates in _candidates(manifest, shares).items():
        section = present.get(name)
        if section is None:
            first_stage = manifest.functions[name].predictor is not None and _STAGES not in (text or "") + added
            added += f"\n{_STAGES if first_stage else ''}{_section(name, candidates)}"
        elif section.get("candidate_variants") != candidates:
            section["candidate_variants"] = candidates
    return tomlkit.dumps(document).rstrip("\n") + "\n" + added


def _candidates(manifest: Manifest, shares: Mapping[str, float]) -> dict[str, Any]:
    """Return function -> its `candidate_variants`: the program's shares, and one version for each stage."""
    # Workaround (tensorzero 2026.6): a candidate with weight 0 still answers when the others fail, so versions without
    # traffic are omitted; remove when weight 0 excludes a candidate.
    candidates: dict[str, Any] = {}
    for name, entry in manifest.functions.items():
        if entry.predictor is None:
            candidates[name] = tomlkit.inline_table()
            candidates[name].update(dict(shares))
        else:
            candidates[name] = [_answering_version(manifest, name, shares)]
    return candidates


def _section(name: str, candidates: Any) -> str:
    value = tomlkit.item(candidates).as_string()
    return f'[functions.{name}.experimentation]\ntype = "static"\ncandidate_variants = {value}\n'


def _answering_version(manifest: Manifest, function: str, shares: Mapping[str, float]) -> str:
    """Return the version that answers direct calls of a stage `function`."""
    versions = manifest.versions_of(function)
    return incumbent({version: shares[version] for version in versions if version in shares}) or versions[-1]


def _parse(text: str, path: str) -> tomlkit.TOMLDocument:
    try:
        return tomlkit.parse(text)
    except TOMLKitError as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from error


def _sections(document: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Return function -> its `experimentation` table, for each function that has such a table."""
    sections = {}
    functions = _table(document.get("functions", {}), "functions", path)
    for name, function in functions.items():
        function = _table(function, f"functions.{name}", path)
        if "experimentation" in function:
            sections[name] = _table(function["experimentation"], f"functions.{name}.experimentation", path)
    return sections


def _table(value: Any, name: str, path: str) -> Any:
    if not isinstance(value, Mapping):
        raise SettingsError(f"{path}: {name} is {value!r}; it must be a table, [{name}].")
    return value


def _as_shares(candidates: Any) -> dict[str, Any]:
    if isinstance(candidates, list):
        return {str(version): 1 / len(candidates) for version in candidates}
    return {str(version): share for version, share in candidates.items()}


def _stage_shares(sections: Mapping[str, Any], manifest: Manifest) -> Shares:
    """Return the shares of a program without a function of its own: all traffic for the version of all its stages."""
    for version, entry in reversed(list(manifest.versions.items())):
        names = [predictor.function for predictor in entry.predictors.values()]
        if all(_names(sections, name) == [version] for name in names):
            return {version: 1.0}
    return {}


def _names(sections: Mapping[str, Any], name: str) -> list[str]:
    return list(_as_shares(sections.get(name, {}).get("candidate_variants", [])))
