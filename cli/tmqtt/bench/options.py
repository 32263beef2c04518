"""`tmqtt bench`: its commands and their options."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tmqtt.connecting.options import (
    CONTEXT,
    Command,
    ConnectionOptions,
    Qos,
    connects,
    count_of,
    duration,
)
from tmqtt.terminal.command import Group
from tmqtt.terminal.figures import parse_rate, parse_size

if TYPE_CHECKING:
    from tmqtt.bench.plan import Plan

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

_LARGEST = 200_000_000
_MOST_CLIENTS = 60_000


def _clients_of(text: str | int) -> int:
    number = _number(text, "clients")
    if number > _MOST_CLIENTS:
        raise typer.BadParameter(f"{number:,} clients are too many: at most {_MOST_CLIENTS:,}.")
    return number


def _processes_of(text: str | int) -> int:
    return min(_number(text, "processes"), 256)


def _number(text: str | int, what: str) -> int:
    try:
        return count_of(str(text))
    except typer.BadParameter:
        raise typer.BadParameter(f"{text!r} is not a number of {what}: write 1 or more.") from None


def _window_of(text: str | int) -> int:
    return min(_number(text, "messages"), 65_535)


def _ahead_of(text: str | int) -> int:
    return 0 if str(text) == "0" else _number(text, "messages")


def _pid_of(text: str | int) -> int:
    return _number(text, "a process")


def _size_of(text: str | int) -> int:
    try:
        size = parse_size(str(text))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    if size > _LARGEST:
        raise typer.BadParameter(f"{text!r} is too large: at most 200MB can be measured.")
    return size


def _rate_of(text: str | float) -> float:
    try:
        return parse_rate(str(text))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


_Url = Annotated[
    str | None,
    typer.Argument(
        metavar="URL",
        help="The broker to measure, instead of --broker.  [default: mqtt://localhost:1883]",
        show_default=False,
    ),
]
_Rate = Annotated[
    float | None,
    typer.Option(
        "--rate",
        metavar="N/s",
        parser=_rate_of,
        help="Messages a second for each publisher. Latency then counts from when a message was"
        " due.  [default: as fast as possible]",
        show_default=False,
    ),
]
_Size = Annotated[
    int,
    typer.Option("--size", metavar="BYTES", parser=_size_of, help="Of each payload."),
]
_Retain = Annotated[
    bool,
    typer.Option("-r", "--retain", help="Publish retained messages; they are removed at the end."),
]
_Duration = Annotated[
    float | None,
    typer.Option(
        "--duration",
        metavar="DURATION",
        parser=duration,
        help="How long: 500ms, 30s, 5m.  [default: 10s, or until --count]",
        show_default=False,
    ),
]
_Count = Annotated[
    int | None,
    typer.Option(
        "--count",
        metavar="N",
        parser=count_of,
        help="End after N messages of each publisher.",
        show_default=False,
    ),
]
_Window = Annotated[
    int,
    typer.Option(
        "--window",
        metavar="N",
        parser=_window_of,
        help="At QoS 1 and 2: messages of a publisher that may be unacknowledged at a time.",
    ),
]
_Ahead = Annotated[
    int | None,
    typer.Option(
        "--ahead",
        metavar="N",
        parser=_ahead_of,
        help="How many messages publishers together may be ahead of their slowest subscriber; 0"
        " for no bound.  [default: 1000; none with --rate]",
        show_default=False,
    ),
]
_Topic = Annotated[
    str | None,
    typer.Option(
        "--topic",
        metavar="PREFIX",
        help="What the topics begin with.  [default: a new one each time]",
        show_default=False,
    ),
]
_Processes = Annotated[
    int | None,
    typer.Option(
        "--processes",
        metavar="N",
        parser=_processes_of,
        help="Worker processes that share the clients.  [default: one for each core]",
        show_default=False,
    ),
]
_Pid = Annotated[
    int | None,
    typer.Option(
        "--pid",
        metavar="PID",
        parser=_pid_of,
        help="The broker's process, if it is on this machine: tells its CPU and memory.",
        show_default=False,
    ),
]
_Compare = Annotated[
    str | None,
    typer.Option(
        "--compare",
        metavar="URL",
        help="Measure a second broker in turn with the first, and show the ratios.",
        show_default=False,
    ),
]
_ComparePid = Annotated[
    int | None,
    typer.Option(
        "--compare-pid",
        metavar="PID",
        parser=_pid_of,
        help="The second broker's process.",
        show_default=False,
    ),
]
_Rounds = Annotated[
    int,
    typer.Option(
        "--rounds", metavar="N", parser=lambda text: _number(text, "rounds"), help="Of --compare."
    ),
]
_Json = Annotated[
    bool, typer.Option("--json", help="Print the figures as one line of JSON and nothing else.")
]
_Publishers = Annotated[
    int,
    typer.Option("-c", "--clients", metavar="N", parser=_clients_of, help="Publishers."),
]
_Subscribers = Annotated[
    int,
    typer.Option("-c", "--clients", metavar="N", parser=_clients_of, help="Subscribers."),
]


@app.command(cls=Command, epilog=_EPILOG.format(name="conn"))
@connects("bench", address="url")
def conn(
    url: _Url = None,
    clients: Annotated[
        int,
        typer.Option("-c", "--clients", metavar="N", parser=_clients_of, help="Connections."),
    ] = 100,
    rate: Annotated[
        float | None,
        typer.Option(
            "--rate",
            metavar="N/s",
            parser=_rate_of,
            help="Connections a second, all together.  [default: as fast as possible]",
            show_default=False,
        ),
    ] = None,
    hold: Annotated[
        float,
        typer.Option(
            "--duration", metavar="DURATION", parser=duration, help="How long to keep them."
        ),
    ] = "1s",  # type: ignore[assignment] # read by the parser
    processes: _Processes = None,
    pid: _Pid = None,
    compare: _Compare = None,
    compare_pid: _ComparePid = None,
    rounds: _Rounds = 3,
    as_json: _Json = False,
    *,
    connection: ConnectionOptions,
) -> None:
    """Open connections and keep them: how fast, how soon, and what each costs."""
    from tmqtt.bench.plan import Plan

    plan = Plan(
        kind="conn",
        publishers=0,
        subscribers=clients,
        topic="",
        rate=rate,
        seconds=hold,
        processes=_processes(processes),
    )
    del url  # it is in the connection
    _bench(plan, connection, pid, compare, compare_pid, rounds, as_json)


@app.command(cls=Command, epilog=_EPILOG.format(name="pub"))
@connects("bench", address="url")
def pub(
    url: _Url = None,
    clients: _Publishers = 1,
    rate: _Rate = None,
    size: _Size = 64,
    qos: Qos = 0,
    retain: _Retain = False,
    duration: _Duration = None,
    count: _Count = None,
    window: _Window = 16,
    topic: _Topic = None,
    processes: _Processes = None,
    pid: _Pid = None,
    compare: _Compare = None,
    compare_pid: _ComparePid = None,
    rounds: _Rounds = 3,
    as_json: _Json = False,
    *,
    connection: ConnectionOptions,
) -> None:
    """Publish, each client to a topic of its own: how fast the broker takes messages.

    With QoS 1 or 2 the latency is until the acknowledgement. The topics are tmqtt-bench/0,
    tmqtt-bench/1 and so on, which `tmqtt bench sub` subscribes to.
    """
    plan = _exchange(
        "pub", clients, 0, topic or "tmqtt-bench",
        rate=rate, size=size, qos=qos, retain=retain, duration=duration, count=count,
        window=window, ahead=0, processes=processes,
    )  # fmt: skip
    del url  # it is in the connection
    _bench(plan, connection, pid, compare, compare_pid, rounds, as_json)


@app.command(cls=Command, epilog=_EPILOG.format(name="sub"))
@connects("bench", address="url")
def sub(
    url: _Url = None,
    clients: _Subscribers = 1,
    qos: Qos = 0,
    duration: _Duration = None,
    count: Annotated[
        int | None,
        typer.Option(
            "--count",
            metavar="N",
            parser=count_of,
            help="End after N messages for each subscriber.",
            show_default=False,
        ),
    ] = None,
    topic: Annotated[
        str, typer.Option("--topic", metavar="FILTER", help="What to subscribe to.")
    ] = "tmqtt-bench/#",
    processes: _Processes = None,
    pid: _Pid = None,
    compare: _Compare = None,
    compare_pid: _ComparePid = None,
    rounds: _Rounds = 3,
    as_json: _Json = False,
    *,
    connection: ConnectionOptions,
) -> None:
    """Subscribe to what others publish: how much arrives.

    Of what `tmqtt bench pub` on the same machine publishes, it tells the latency and what is lost.
    With --compare, both brokers need publishers, for as long as it takes.
    """
    plan = _exchange(
        "sub", 0, clients, topic,
        qos=qos, duration=duration, count=count, processes=processes,
    )  # fmt: skip
    del url  # it is in the connection
    _bench(plan, connection, pid, compare, compare_pid, rounds, as_json)


@app.command(cls=Command, epilog=_EPILOG.format(name="pair"))
@connects("bench", address="url")
def pair(
    url: _Url = None,
    clients: Annotated[
        int, typer.Option("-c", "--clients", metavar="N", parser=_clients_of, help="Pairs.")
    ] = 1,
    rate: _Rate = None,
    size: _Size = 64,
    qos: Qos = 0,
    retain: _Retain = False,
    duration: _Duration = None,
    count: _Count = None,
    window: _Window = 16,
    ahead: _Ahead = None,
    topic: _Topic = None,
    processes: _Processes = None,
    pid: _Pid = None,
    compare: _Compare = None,
    compare_pid: _ComparePid = None,
    rounds: _Rounds = 3,
    as_json: _Json = False,
    *,
    connection: ConnectionOptions,
) -> None:
    """Pairs of a publisher and a subscriber, each pair on a topic of its own."""
    plan = _exchange(
        "pair", clients, clients, topic,
        rate=rate, size=size, qos=qos, retain=retain, duration=duration, count=count,
        window=window, ahead=ahead, processes=processes,
    )  # fmt: skip
    del url  # it is in the connection
    _bench(plan, connection, pid, compare, compare_pid, rounds, as_json)


@app.command("fan-in", cls=Command, epilog=_EPILOG.format(name="fan-in"))
@connects("bench", address="url")
def fan_in(
    url: _Url = None,
    clients: _Publishers = 10,
    subscribers: Annotated[
        int,
        typer.Option("--subscribers", metavar="N", parser=_clients_of, help="Of all the topics."),
    ] = 1,
    rate: _Rate = None,
    size: _Size = 64,
    qos: Qos = 0,
    retain: _Retain = False,
    duration: _Duration = None,
    count: _Count = None,
    window: _Window = 16,
    ahead: _Ahead = None,
    topic: _Topic = None,
    processes: _Processes = None,
    pid: _Pid = None,
    compare: _Compare = None,
    compare_pid: _ComparePid = None,
    rounds: _Rounds = 3,
    as_json: _Json = False,
    *,
    connection: ConnectionOptions,
) -> None:
    """Many publishers, each on a topic of its own, and one subscriber of all."""
    plan = _exchange(
        "fan-in", clients, subscribers, topic,
        rate=rate, size=size, qos=qos, retain=retain, duration=duration, count=count,
        window=window, ahead=ahead, processes=processes,
    )  # fmt: skip
    del url  # it is in the connection
    _bench(plan, connection, pid, compare, compare_pid, rounds, as_json)


@app.command("fan-out", cls=Command, epilog=_EPILOG.format(name="fan-out"))
@connects("bench", address="url")
def fan_out(
    url: _Url = None,
    clients: _Subscribers = 10,
    publishers: Annotated[
        int,
        typer.Option("--publishers", metavar="N", parser=_clients_of, help="To all subscribers."),
    ] = 1,
    rate: _Rate = None,
    size: _Size = 64,
    qos: Qos = 0,
    retain: _Retain = False,
    duration: _Duration = None,
    count: _Count = None,
    window: _Window = 16,
    ahead: _Ahead = None,
    topic: _Topic = None,
    processes: _Processes = None,
    pid: _Pid = None,
    compare: _Compare = None,
    compare_pid: _ComparePid = None,
    rounds: _Rounds = 3,
    as_json: _Json = False,
    *,
    connection: ConnectionOptions,
) -> None:
    """One publisher and many subscribers of what it publishes."""
    plan = _exchange(
        "fan-out", publishers, clients, topic,
        rate=rate, size=size, qos=qos, retain=retain, duration=duration, count=count,
        window=window, ahead=ahead, processes=processes,
    )  # fmt: skip
    del url  # it is in the connection
    _bench(plan, connection, pid, compare, compare_pid, rounds, as_json)


_DEFAULT_SECONDS = 10.0
_DEFAULT_AHEAD = 1_000


def _exchange(
    kind: str, publishers: int, subscribers: int, topic: str | None, **given: Any
) -> Plan:
    import secrets

    from tmqtt.bench.plan import Plan

    seconds, count = given.pop("duration"), given["count"]
    ahead = given.pop("ahead", None)
    if ahead is None:
        ahead = 0 if given.get("rate") is not None or not subscribers else _DEFAULT_AHEAD
    if ahead:
        # All publishers of a subscriber share what may be under way to it.
        ahead = max(1, ahead // (1 if kind == "pair" else max(publishers, 1)))
    return Plan(
        kind=kind,
        publishers=publishers,
        subscribers=subscribers,
        topic=topic if topic is not None else f"tmqtt-bench-{secrets.token_hex(4)}",
        seconds=_DEFAULT_SECONDS if seconds is None and count is None else seconds,
        processes=_processes(given.pop("processes")),
        ahead=ahead,
        **given,
    )


def _processes(wanted: int | None) -> int:
    if wanted is not None:
        return wanted
    try:
        return min(len(os.sched_getaffinity(0)), 8)
    except AttributeError:  # not Linux
        return min(os.cpu_count() or 1, 8)


def _bench(
    plan: Plan,
    connection: ConnectionOptions,
    pid: int | None,
    compare: str | None,
    compare_pid: int | None,
    rounds: int,
    as_json: bool,
) -> None:
    if compare_pid is not None and compare is None:
        raise typer.BadParameter("there is no second broker: give --compare.")
    from tmqtt.bench.command import BenchOptions, bench
    from tmqtt.terminal.running import run

    options = BenchOptions(
        plan=plan,
        connection=connection,
        pid=pid,
        compare=compare,
        compare_pid=compare_pid,
        rounds=rounds,
        as_json=as_json,
    )
    run(lambda terminal: bench(options, terminal))
