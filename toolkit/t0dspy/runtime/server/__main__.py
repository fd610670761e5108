"""`python -m t0dspy.runtime.server`: run the program server for `t0dspy up`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from localkit.die_with_parent import die_with
from localkit.errors import LocalError
from localkit.web_pages import Allowed
from t0dspy.errors import T0dspyError
from t0dspy.program.dspy_version import check_dspy


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program server. Return 0 after a clean stop, and 1 if it could not start."""
    parser = argparse.ArgumentParser(prog="python -m t0dspy.runtime.server", description=__doc__)
    parser.add_argument("--configs", type=Path)
    parser.add_argument("--gateway-url")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8100)
    parser.add_argument("--parent-pid", type=int, help="exit when this parent process is gone")
    Allowed.add_flags(parser)
    args = parser.parse_args(argv)
    if args.parent_pid is not None:
        die_with(args.parent_pid)
    try:
        check_dspy()
        from t0dspy.runtime.server.start import run_server

        allowed = Allowed.parse(args.allow_host, args.allow_origin)
        run_server(args.configs, args.gateway_url, args.host, args.port, allowed=allowed)
    except (T0dspyError, LocalError) as error:
        print(f"t0dspy: {error}", file=sys.stderr)  # noqa: T201 - a process of its own
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
