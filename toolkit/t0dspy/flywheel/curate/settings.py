"""Read the options of curation from a program's settings."""

from dataclasses import fields, replace

from t0dspy.errors import SettingsError
from t0dspy.flywheel.curate.options import Cap, CurateOptions
from t0dspy.settings import ProgramSettings


def curate_options(program: ProgramSettings) -> CurateOptions:
    """Return the options of curation from the program's settings.

    Raises:
        SettingsError: an option is unknown, or has the wrong type.
    """
    known = {option.name for option in fields(CurateOptions)} - {"gold"}
    unknown = program.curate.keys() - known
    if unknown:
        raise SettingsError(f"curate: unknown option {min(unknown)!r}; there are {', '.join(sorted(known))}.")
    given = dict(program.curate)
    try:
        if "caps" in given:
            given["caps"] = tuple(Cap(**cap) for cap in given["caps"])
        for name in ("ignore", "trusted_raters"):
            if isinstance(given.get(name), list):
                given[name] = tuple(given[name])
        if "floor" in given:
            given["floor"] = {name: float(least) for name, least in given["floor"].items()}
        return replace(CurateOptions(gold=program.gold), **given)
    except (TypeError, ValueError, AttributeError) as error:
        raise SettingsError(f"curate: {error}.") from error
