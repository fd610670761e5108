"""`t0dspy serve`: run the program server alone."""

from typing import Annotated

import typer

from t0dspy.cli import options


def serve(
    host: Annotated[str, typer.Option(metavar="HOST", help="Address to listen on (default: 127.0.0.1).")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=1, max=65535, metavar="PORT", help="Port to listen on (default: 8100).")
    ] = 8100,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Worker processes, shared by the programs (default: one per core, at most 4)."
        ),
    ] = None,
    runs: Annotated[int, typer.Option(min=1, metavar="N", help="Concurrent runs per worker (default: 64).")] = 64,
    queue: Annotated[
        int,
        typer.Option(
            min=0, metavar="N", help="Waiting runs per program if all workers are busy; more get a 503 (default: 128)."
        ),
    ] = 128,
    drain: Annotated[
        float,
        typer.Option(min=0, metavar="SECONDS", help="Time limit for runs in flight after SIGTERM (default: 30)."),
    ] = 30.0,
    configs: options.Configs = None,
    gateway_url: options.GatewayUrl = None,
    allow_host: options.AllowHost = None,
    allow_origin: options.AllowOrigin = None,
) -> None:
    """Run the program server: an OpenAI-compatible endpoint that runs the exported programs that need Python.

    The gateway calls it like any provider. Set the same bearer key for both in T0DSPY_PROGRAMS_KEY. After SIGTERM, the
    server finishes the runs in flight for at most --drain seconds and stops. It reloads the programs after SIGHUP, and
    writes its log to stderr as JSON lines.

    Example: t0dspy serve --host 0.0.0.0 --workers 4
    """
    import os

    from t0dspy.runtime.server.pool import Size
    from t0dspy.runtime.server.start import run_server

    allowed = options.parse_allowed(allow_host, allow_origin, host)
    settings = options.read_settings(configs=configs, gateway_url=gateway_url)
    size = Size(workers or min(4, os.cpu_count() or 2), runs, queue)
    run_server(settings.configs_dir, settings.gateway_url.value, host, port, size, allowed, drain)
