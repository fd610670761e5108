"""The configuration of a stack."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from t0dspy.stack.processes.data_dir import PARTS


@dataclass(frozen=True)
class Plan:
    """The parts of a stack, their ports (0: any free one), and what they read and write."""

    configs: Path
    data_dir: Path
    host: str = "127.0.0.1"
    gateway_port: int = 3000
    clickhouse_port: int = 8123
    programs_port: int = 8100
    parts: tuple[str, ...] = PARTS
    addresses: Mapping[str, str] = field(default_factory=dict)
    """The addresses of models, by the host name in their `api_base`."""
    clickhouse_url: str | None = field(default=None, repr=False)
    """The database of a gateway that runs alone; it may contain a password."""
    restore_rows: bool = False
    """Whether ClickHouse stores again the acknowledged rows that it has set aside."""

    allowed_flags: Sequence[str] = ()
    """The flags from `web_pages.Allowed.flags`, for each part."""
    drain: float = 30.0
    """Seconds that requests in flight may take after SIGTERM before they are cut."""

    watched: tuple[Path, Path] | None = None
    """The directories of the project and the configs, which are reloaded when a file changes; None for no reloads."""

    @property
    def reachable_host(self) -> str:
        """Return the address at which this machine reaches a server that listens on `host`."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(self.host, self.host)  # noqa: S104

    def url(self, port: int) -> str:
        """Return the base URL of a part that listens on `port`."""
        host = f"[{self.reachable_host}]" if ":" in self.reachable_host else self.reachable_host
        return f"http://{host}:{port}"
