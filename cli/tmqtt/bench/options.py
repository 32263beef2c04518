"""`tmqtt bench`: its commands, as `table` has their options."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from tmqtt.bench.plan import plan_of
from tmqtt.bench.table import SHAPES, Shape
from tmqtt.connecting.options import connects
from tmqtt.connecting.settings import ConnectionOptions
from tmqtt.terminal.command import CONTEXT, Command, Group
from tmqtt.terminal.option import declared

_EPILOG = """\
Examples:
  tmqtt bench {name}
  tmqtt bench {name} mqtts://broker.example --qos 1 --duration 30s
  tmqtt bench {name} --json > figures.json
  tmqtt bench {name} --pid $(pgrep mosquitto) --compare mqtt://localhost:1884

Exit codes: 0 done; 1 it did not work; 2 the options are wrong; 130 ended by Ctrl-C, after the
figures so far. Where the broker refuses the connection, its reason code."""

_EXAMPLES = """\
Examples:
  tmqtt bench conn -c 1000
  tmqtt bench pair -c 10 --rate 100/s mqtt://broker.example
  tmqtt bench fan-out -c 100 --size 4KB --pid $(pgrep mosquitto)
  tmqtt bench pair mqtt://localhost:1883 --compare mqtt://localhost:1884

`tmqtt bench COMMAND --help` shows the options and the exit codes."""

app = typer.Typer(
    cls=Group,
    context_settings=CONTEXT,
    rich_markup_mode=None,
    no_args_is_help=True,
    add_completion=False,
    epilog=_EXAMPLES,
    help="Measure a broker: throughput, latency, what is lost, and what it takes.",
)

_URL = Annotated[
    str | None,
    typer.Argument(
        metavar="URL",
        help="The broker to measure, instead of --broker.  [default: mqtt://localhost:1883]",
        show_default=False,
    ),
]


def _command(shape: Shape) -> Callable[..., None]:
    """The command for a shape, with a signature that Typer reads."""

    def command(*, connection: ConnectionOptions, url: str | None, **given: Any) -> None:
        del url  # it is in the connection
        _run(shape.kind, connection, given)

    parameters = [_parameter("url", _URL, None), _parameter("connection", ConnectionOptions)]
    parameters[1:1] = [
        _parameter(
            option.key, declared(option, reads=True), option.default if option.metavar else False
        )
        for option in shape.options
    ]
    command.__doc__ = shape.help
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return command


def _parameter(
    name: str, kind: object, default: object = inspect.Parameter.empty
) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=default)


def _run(kind: str, connection: ConnectionOptions, given: dict[str, Any]) -> None:
    told = {name: given.pop(name) for name in ("pid", "compare", "compare_pid", "rounds", "json")}
    if told["compare_pid"] is not None and told["compare"] is None:
        raise typer.BadParameter("there is no second broker: give --compare.")
    from tmqtt.bench.command import BenchOptions, bench
    from tmqtt.terminal.running import run

    options = BenchOptions(plan=plan_of(kind, **given), connection=connection, **told)
    run(lambda terminal: bench(options, terminal))


for _shape in SHAPES:
    app.command(_shape.kind, cls=Command, epilog=_EPILOG.format(name=_shape.kind))(
        connects("bench", address="url")(_command(_shape))
    )
