"""A stack that starts serves what is written: what a killed command left is finished by it."""

from pathlib import Path

from t0dspy.errors import RolloutError, T0dspyError
from t0dspy.rollout.apply import Say, now
from t0dspy.rollout.gateways import status
from t0dspy.rollout.pending import Journal, Pending, config_files
from t0dspy.rollout.restore import restore


def before_start(configs: Path, say: Say) -> None:
    """Put in order what a killed command left half done, before a gateway reads it."""
    pending = _pending(configs, say)
    if pending is not None and pending.putting_back and pending.old is not None:
        say(f"`{pending.what}` was refused by the gateway and cut off; its files are put back now.")
        try:
            restore(configs, pending.old, now(), "refused, and cut off")
        except T0dspyError as error:  # the gateway reports what it cannot read
            say(f"The files could not be put back: {error}")


def _pending(configs: Path, say: Say) -> Pending | None:
    try:
        return Journal(configs).pending()
    except RolloutError as error:  # a damaged note is no reason not to start
        say(str(error))
        return None


def after_start(configs: Path, gateway_url: str, say: Say) -> None:
    """Remember what is served now, and say so where that was waited for."""
    journal = Journal(configs)
    config_hash = status(gateway_url)
    if config_hash is None:
        return
    pending = _pending(configs, lambda text: None)
    try:
        with journal.held(seconds=1.0):
            journal.note_served(config_hash, config_files(configs))
            journal.end()
    except T0dspyError:  # a directory that cannot be written has no record
        return
    if pending is not None and not pending.putting_back:
        say(f"`{pending.what}` was cut off before the gateway was known to serve it; it serves that now.")
