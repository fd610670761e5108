"""What a stack is to run, and where."""

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
    """Where models live in this run, by the host name that their `api_base` has in the config."""
    clickhouse_url: str | None = field(default=None, repr=False)
    """For a gateway run alone; may hold a password."""

    allowed_flags: Sequence[str] = ()
    """What `web_pages.Allowed.flags` returns, for each part."""
    drain: float = 30.0
    """Seconds that what is in flight has to finish after SIGTERM; then it is cut."""

    watched: tuple[Path, Path] | None = None
    """The project and the configs, whose changed files are loaded at once; None for neither."""

    @property
    def reachable_host(self) -> str:
        """An address on which this machine reaches what listens on `host`."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(self.host, self.host)  # noqa: S104

    def url(self, port: int) -> str:
        """The base URL of a part that listens on `port`."""
        host = f"[{self.reachable_host}]" if ":" in self.reachable_host else self.reachable_host
        return f"http://{host}:{port}"
