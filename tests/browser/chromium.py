"""A real browser without a window, with an empty profile of its own."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
]


@contextmanager
def showing(url: str, profile: Path) -> Iterator[None]:
    """Chromium shows `url` until the end of the block; every name below `evil.example` leads to this machine."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    assert found, f"the browser test needs one of {', '.join(NAMES)} (Debian: apt-get install chromium)"
    rules = "--host-resolver-rules=MAP evil.example 127.0.0.1,MAP *.evil.example 127.0.0.1"
    command = [found, *FLAGS, rules, f"--user-data-dir={profile}", url]
    environment = {**os.environ, "HOME": str(profile)}
    log = profile.with_suffix(".log")
    with log.open("wb") as errors:
        browser = subprocess.Popen(
            command, stdout=errors, stderr=errors, stdin=subprocess.DEVNULL, env=environment, start_new_session=True
        )
    try:
        yield
    finally:
        os.killpg(browser.pid, signal.SIGKILL)  # its own group: the helpers that it has started are in it
        browser.wait()
