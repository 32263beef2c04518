"""`tmqtt replay`: its options."""

from __future__ import annotations

from typing import Annotated

import typer

from tmqtt.connecting.options import EXIT_CODES, connects
from tmqtt.connecting.settings import ConnectionOptions
from tmqtt.terminal.command import CONTEXT, Command
from tmqtt.terminal.values import count_of

app = typer.Typer(context_settings=CONTEXT, rich_markup_mode=None)

_EXAMPLES = """\
Examples:
  tmqtt sub 'home/#' --record home.jsonl
  tmqtt replay home.jsonl
  tmqtt replay home.jsonl --speed 10x --loop 3
  zcat home.jsonl.gz | tmqtt replay - --speed max --topic-prefix test/

"""


def _speed(text: str | float) -> float:
    """How many times as fast as it was; infinity for "max"."""
    if text == "max":
        return float("inf")
    try:
        speed = float(str(text).removesuffix("x"))
    except ValueError:
        speed = 0.0
    if not 0.001 <= speed <= 1_000_000:
        raise typer.BadParameter(f"{text!r} is not a speed: write 2x, 0.5x or max.")
    return speed


@app.command(cls=Command, epilog=_EXAMPLES + EXIT_CODES)
@connects("replay")
def replay(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="What sub --record wrote; - is stdin.")
    ],
    speed: Annotated[
        float | None,
        typer.Option(
            "--speed",
            metavar="FACTOR|max",
            parser=_speed,
            help="So many times as fast as it was: 2x, 0.5x, or max.  [default: 1x]",
        ),
    ] = None,
    loop: Annotated[
        int | None,
        typer.Option("--loop", metavar="N", parser=count_of, help="So many times.  [default: 1]"),
    ] = None,
    prefix: Annotated[
        str | None,
        typer.Option("--topic-prefix", metavar="TEXT", help="Put this before each topic."),
    ] = None,
    *,
    connection: ConnectionOptions,
) -> None:
    """Publish recorded messages again, as they were: topics, payloads, QoS, properties, timing.

    A file is checked to its end before anything is sent; what is wrong is told with its line.
    """
    from tmqtt.replay.command import ReplayOptions, replay
    from tmqtt.terminal.running import run

    options = ReplayOptions(
        path=file,
        speed=1.0 if speed is None else speed,
        loops=1 if loop is None else loop,
        prefix=prefix or "",
    )
    run(lambda terminal: replay(options, connection, terminal))
