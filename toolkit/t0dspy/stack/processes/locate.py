"""Where the gateway and ClickHouse are, where nobody has named them: those of the embedded stack that runs here."""

from dataclasses import replace
from pathlib import Path

from t0dspy.settings import Setting, Settings
from t0dspy.stack.processes.data_dir import find_clickhouse, find_running

DATABASE = "tensorzero"


def locate(settings: Settings) -> Settings:
    """Return `settings` with the URLs of the embedded stack of this project, if it runs, in place of the defaults.

    What a flag, the environment or the settings file names stays. The URL of ClickHouse holds its password.
    """
    data_dir = Path(settings.apply.data_dir)
    origin = f"the embedded stack in {data_dir}"
    if not settings.gateway_url.given and (running := find_running(data_dir)):
        settings = replace(settings, gateway_url=Setting(running.urls["gateway"], origin, given=False))
    if not settings.clickhouse_url.given and (url := find_clickhouse(data_dir)):
        settings = replace(settings, clickhouse_url=Setting(f"{url}/{DATABASE}", origin, given=False))
    return settings
