"""Finish changes of traffic that a killed command left, when a stack starts."""

from pathlib import Path

from t0dspy.errors import RolloutError, T0dspyError
from t0dspy.rollout.apply import Show, now
from t0dspy.rollout.gateways import read_config_hash
from t0dspy.rollout.pending import Journal, Pending, config_files
from t0dspy.rollout.restore import restore


def before_start(configs: Path, show: Show) -> None:
    """Restore the old files if a killed command had begun to restore them, before the gateway reads the configs."""
    pending = _read_pending(configs, show)
    if pending is not None and pending.putting_back and pending.old is not None:
        show(f"`{pending.what}` was refused by the gateway and then interrupted; the old files are restored now.")
        try:
            restore(configs, pending.old, now(), "refused, and cut off")
        except T0dspyError as error:  # the gateway reports what it cannot read
            show(f"The files could not be restored: {error}")


def _read_pending(configs: Path, show: Show) -> Pending | None:
    try:
        return Journal(configs).read_pending()
    except RolloutError as error:  # a stack starts even if the record of pending changes is damaged
        show(str(error))
        return None


def after_start(configs: Path, gateway_url: str, show: Show) -> None:
    """Record the served config, and report an interrupted change that is served now."""
    journal = Journal(configs)
    config_hash = read_config_hash(gateway_url)
    if config_hash is None:
        return
    pending = _read_pending(configs, lambda text: None)
    try:
        with journal.hold(seconds=1.0):
            journal.note_served(config_hash, config_files(configs))
            journal.end()
    except T0dspyError:  # without write access there is no record
        return
    if pending is not None and not pending.putting_back:
        show(f"`{pending.what}` was interrupted before the gateway confirmed it; the gateway serves it now.")
