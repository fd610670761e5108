"""`t0dspy feedback`: record feedback for an inference or an episode."""

from typing import Annotated

import typer

from t0dspy.cli import options, output


def feedback(
    id: Annotated[str, typer.Argument(metavar="ID", help="The id of an inference, or of an episode with --episode.")],
    metric: Annotated[str, typer.Argument(metavar="METRIC", help="A metric, `demonstration` or `comment`.")],
    value: Annotated[str, typer.Argument(metavar="VALUE", help="true, false, a number, a text, or output fields.")],
    episode: Annotated[bool, typer.Option("--episode", help="ID is the id of an episode.")] = False,
    by: Annotated[
        str | None, typer.Option(metavar="USER", help="The rater (default: the user of the inference).")
    ] = None,
    tag: Annotated[list[str] | None, typer.Option(metavar="K=V", help="A tag of the feedback; repeatable.")] = None,
    configs: options.Configs = None,
    gateway_url: options.GatewayUrl = None,
    clickhouse_url: options.ClickhouseUrl = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Record feedback for an inference and wait until it is stored.

    For a demonstration, VALUE is a JSON object with the corrected output. You can leave out fields that were correct:
    they are filled from the model's output, and the tag t0dspy::filled names them.

    Every rater has one vote. Name the rater with --by if it is not the user of the inference. `retrain` counts the
    corrections of that user and of the raters in `trusted_raters`; the setting `corrections` changes this.

    Example: t0dspy feedback 0199... demonstration '{"answer": "yes"}' --by alice
    """
    from t0dspy.gateway import HttpGateway
    from t0dspy.runtime.feedback import give_feedback
    from t0dspy.runtime.tags import parse_tags
    from t0dspy.warehouse.client import Warehouse

    settings = options.read_settings(configs=configs, gateway_url=gateway_url, clickhouse_url=clickhouse_url)
    tags = parse_tags(tag or ())
    gateway = HttpGateway(settings.gateway_url.value)
    try:
        with Warehouse(settings.clickhouse_url.value) as warehouse:
            stored = give_feedback(
                *(id, metric, value),
                episode=episode,
                by=by,
                tags=tags,
                configs=settings.configs_dir,
                gateway=gateway,
                warehouse=warehouse,
            )
    finally:
        gateway.close()
    if json:
        output.print_json({"feedback_id": stored.id, "metric": metric, "value": stored.value, "filled": stored.filled})
    elif not quiet:
        print(f"stored {metric} {stored.id}")
        if stored.filled:
            print(f"  filled in   {', '.join(stored.filled)}")
