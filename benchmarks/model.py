"""A scripted model in a process of its own: `python -m benchmarks.model SECONDS`, which each answer takes."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from t0dspy.testing import RecordedRequest, Reply, ScriptedUpstream

ANSWER = "".join(f"[[ ## {name} ## ]]\nx\n\n" for name in ("outline", "text", "answer")) + "[[ ## completed ## ]]"


@contextmanager
def model(delay: float) -> Iterator[str]:
    """Its URL; it answers every request with all fields, after `delay` seconds."""
    command = [sys.executable, "-m", "benchmarks.model", str(delay)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent.parent)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.communicate()


def main() -> None:
    """Answer until killed."""
    delay = float(sys.argv[1])

    def script(request: RecordedRequest) -> Reply:
        upstream.requests.clear()
        return Reply(ANSWER, delay=delay)

    with ScriptedUpstream(script) as upstream:
        print(upstream.url, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
