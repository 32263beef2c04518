"""The shapes of a measurement and the options that each of them has: one table of both.

Whoever has an option has it as it stands here, but for another default, or other words for whom it
counts. `options` makes commands of the table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from tmqtt.connecting.table import qos_of
from tmqtt.terminal.figures import parse_count, parse_duration, parse_rate, parse_size
from tmqtt.terminal.option import Option

_LARGEST = 200_000_000  # bytes of a payload
_MOST_CLIENTS = 60_000
_MOST_PROCESSES = 256
_WIDEST = 65_535  # messages unacknowledged: a receive maximum (MQTT 5.0 §3.1.2.11.3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A command: who publishes and who subscribes, and what can be said of it."""

    kind: str
    help: str
    options: tuple[Option, ...]


def _clients(text: str) -> int:
    number = parse_count(text, "clients")
    if number > _MOST_CLIENTS:
        raise ValueError(f"{number:,} clients are too many: at most {_MOST_CLIENTS:,}.")
    return number


def _at_most(most: int, things: str, text: str) -> int:
    return min(parse_count(text, things), most)


def _number_of(things: str) -> Callable[[str], int]:
    return lambda text: parse_count(text, things)


def _ahead(text: str) -> int:
    return 0 if text == "0" else parse_count(text)


def _size(text: str) -> int:
    size = parse_size(text)
    if size > _LARGEST:
        raise ValueError(f"{text!r} is too large: at most 200MB can be measured.")
    return size


# fmt: off
_CLIENTS = Option(name="clients", short="-c", metavar="N", read=_clients, help="Connections.")
_RATE = Option(name="rate", metavar="N/s", read=parse_rate,
               help="Messages a second for each publisher. Latency then counts from when a message"
                    " was due.  [default: as fast as possible]")
_SIZE = Option(name="size", metavar="BYTES", read=_size, default="64", help="Of each payload.")
_QOS = Option(name="qos", short="-q", metavar="0|1|2", read=qos_of, default="0",
              help="Quality of service.")
_RETAIN = Option(name="retain", short="-r",
                 help="Publish retained messages; they are removed at the end.")
_DURATION = Option(name="duration", also="for", metavar="DURATION", read=parse_duration,
                   help="How long: 500ms, 30s, 5m.  [default: 10s, or until --count]")
_COUNT = Option(name="count", metavar="N", read=parse_count,
                help="End after N messages of each publisher.")
_WINDOW = Option(name="window", metavar="N", read=partial(_at_most, _WIDEST, "messages"),
                 default="16",
                 help="At QoS 1 and 2: messages of a publisher that may be unacknowledged at a"
                      " time.")
_AHEAD = Option(name="ahead", metavar="N", read=_ahead,
                help="How many messages publishers together may be ahead of their slowest"
                     " subscriber; 0 for no bound.  [default: 1000; none with --rate]")
_TOPIC = Option(name="topic", metavar="PREFIX",
                help="What the topics begin with.  [default: a new one each time]")

# What all of them have, after what is their own.
_COMMON = (
    Option(name="processes", metavar="N", read=partial(_at_most, _MOST_PROCESSES, "processes"),
           help="Worker processes that share the clients.  [default: one for each core]"),
    Option(name="pid", metavar="PID", read=_number_of("a process"),
           help="The broker's process, if it is on this machine: tells its CPU and memory."),
    Option(name="compare", metavar="URL",
           help="Measure a second broker in turn with the first, and show the ratios."),
    Option(name="compare-pid", metavar="PID", read=_number_of("a process"),
           help="The second broker's process."),
    Option(name="rounds", metavar="N", read=_number_of("rounds"), default="3",
           help="Of --compare."),
    Option(name="json", help="Print the figures as one line of JSON and nothing else."),
)
# fmt: on

_PUBLISHING = (_RATE, _SIZE, _QOS, _RETAIN, _DURATION, _COUNT, _WINDOW)
_EXCHANGE = (*_PUBLISHING, _AHEAD, _TOPIC)


def _counting(default: int, whom: str) -> Option:
    return replace(_CLIENTS, default=str(default), help=whom)


SHAPES = (
    Shape(
        kind="conn",
        help="Open connections and keep them: how fast, how soon, and what each costs.",
        options=(
            _counting(100, "Connections."),
            replace(
                _RATE,
                help="Connections a second, all together.  [default: as fast as possible]",
            ),
            replace(_DURATION, default="1s", help="How long to keep them."),
            *_COMMON,
        ),
    ),
    Shape(
        kind="pub",
        help="""\
Publish, each client to a topic of its own: how fast the broker takes messages.

With QoS 1 or 2 the latency is until the acknowledgement. The topics are tmqtt-bench/0,
tmqtt-bench/1 and so on, which `tmqtt bench sub` subscribes to.""",
        options=(_counting(1, "Publishers."), *_PUBLISHING, _TOPIC, *_COMMON),
    ),
    Shape(
        kind="sub",
        help="""\
Subscribe to what others publish: how much arrives.

Of what `tmqtt bench pub` on the same machine publishes, it tells the latency and what is lost.
With --compare, both brokers need publishers, for as long as it takes.""",
        options=(
            _counting(1, "Subscribers."),
            _QOS,
            _DURATION,
            replace(_COUNT, help="End after N messages for each subscriber."),
            replace(
                _TOPIC, metavar="FILTER", default="tmqtt-bench/#", help="What to subscribe to."
            ),
            *_COMMON,
        ),
    ),
    Shape(
        kind="pair",
        help="Pairs of a publisher and a subscriber, each pair on a topic of its own.",
        options=(_counting(1, "Pairs."), *_EXCHANGE, *_COMMON),
    ),
    Shape(
        kind="fan-in",
        help="Many publishers, each on a topic of its own, and one subscriber of all.",
        options=(
            _counting(10, "Publishers."),
            replace(_CLIENTS, name="subscribers", short="", default="1", help="Of all the topics."),
            *_EXCHANGE,
            *_COMMON,
        ),
    ),
    Shape(
        kind="fan-out",
        help="One publisher and many subscribers of what it publishes.",
        options=(
            _counting(10, "Subscribers."),
            replace(_CLIENTS, name="publishers", short="", default="1", help="To all subscribers."),
            *_EXCHANGE,
            *_COMMON,
        ),
    ),
)
