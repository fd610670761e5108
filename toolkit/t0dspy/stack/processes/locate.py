"""Use the URLs of the running embedded stack if no others are given."""

from dataclasses import replace
from pathlib import Path

from t0dspy.settings import Setting, Settings
from t0dspy.stack.processes.data_dir import find_clickhouse, find_running

DATABASE = "tensorzero"


def locate(settings: Settings) -> Settings:
    """Return `settings` with the URLs of this project's embedded stack, if it runs, instead of the default URLs.

    URLs from a flag, the environment or the settings file stay. The URL of ClickHouse contains its password.
    """
    data_dir = Path(settings.apply.data_dir)
    origin = f"the embedded stack in {data_dir}"
    if not settings.gateway_url.given and (running := find_running(data_dir)):
        settings = replace(settings, gateway_url=Setting(running.urls["gateway"], origin, given=False))
    if not settings.clickhouse_url.given and (url := find_clickhouse(data_dir)):
        settings = replace(settings, clickhouse_url=Setting(f"{url}/{DATABASE}", origin, given=False))
    return settings
