"""What `tmqtt pub` is asked for, and the templates in it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import trio_mqtt
from tmqtt.pub.templates import Template
from tmqtt.terminal.sentences import CommandError

if TYPE_CHECKING:
    from tmqtt.messages.payload_formats import PayloadFormat

GREETING = "Hello mqtt {ms}"
# Messages of QoS 1 and 2 that are on their way at once: a slow broker does not hold up the
# schedule at once, and what waits for it has a bound.
IN_FLIGHT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where payloads come from: of these, the one that is set; of none, a greeting."""

    message: str | None = None
    file: str | None = None
    empty: bool = False
    whole_input: bool = False
    lines: bool = False
    line_end: bytes = b"\n"
    size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedTopic:
    """One topic of a simulation: what goes there, how often (`every` is seconds), and how.

    Topic and payload may have templates; where `payload` is None it is a greeting.
    """

    topic: str
    payload: str | None
    every: float
    qos: int
    retain: bool
    count: int | None
    content_type: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PubOptions:
    """What to publish. Durations are in seconds; where `count` is None it goes on for ever.

    `in_flight` is how many messages may be on their way at once.
    """

    topics: tuple[str, ...]
    source: Source
    raw: bool = False
    every: float | None = None
    count: int | None = None
    span: float | None = None
    in_flight: int = IN_FLIGHT
    qos: int = 0
    retain: bool = False
    properties: Mapping[str, Any] = field(default_factory=dict)
    verbose: bool = False
    payload_format: PayloadFormat | None = None
    seed: int | None = None
    simulation: tuple[SimulatedTopic, ...] = ()

    @property
    def is_single(self) -> bool:
        """Whether it is one message to each topic, and done."""
        return self.count == 1 and not self.source.lines

    @property
    def is_scheduled(self) -> bool:
        """Whether messages have times at which they are due."""
        return self.every is not None or bool(self.simulation)

    @property
    def expected(self) -> int | None:
        """How many messages are to be sent in all, where that is known."""
        return None if self.count is None else self.count * max(len(self.topics), 1)


def is_quick(options: PubOptions) -> bool:
    """Whether it is but a message, and nothing is shown: then the least of the library is needed.

    What waits for standard input needs more: a wait that can be given up.
    """
    source = options.source
    return (
        options.is_single
        and not options.simulation
        and options.span is None
        and not options.verbose
        and not os.isatty(1)
        and not source.whole_input
        and source.file != "-"
    )


def topic_templates(options: PubOptions) -> list[Template]:
    """The topics. Raises CommandError for one that is not a topic."""
    return [
        _topic(topic, raw=options.raw, seed=seed_for(options, f"topic {number}"))
        for number, topic in enumerate(options.topics)
    ]


def message_payload(options: PubOptions) -> bytes:
    """The payload of the only message. Raises CommandError for what cannot be read."""
    return in_format(options, _given(options))


def in_format(options: PubOptions, given: bytes, number: int = 1) -> bytes:
    """What is sent for what was given, the message of this number. Raises CommandError."""
    if options.payload_format is None:
        return given
    try:
        return options.payload_format.encode(given)
    except ValueError as error:
        line = f"Line {number} of standard input: " if options.source.lines else ""
        raise CommandError(f"{line}{error}", 2) from None


def _given(options: PubOptions) -> bytes:
    source = options.source
    if source.file is not None:
        from tmqtt.messages.payload_file import read_payload

        return read_payload(source.file)
    if source.size is not None:
        return os.urandom(source.size)
    return b"" if source.empty else os.fsencode(payload_template(options).text(1))


def payload_template(options: PubOptions) -> Template:
    """The message, where it is written out; without one, a greeting that tells the time."""
    message = options.source.message
    if message is None:
        return _template(GREETING)
    if options.raw:
        return Template.literal(message)
    return _template(message, seed_for(options, "payload"))


def seed_for(options: PubOptions, what: str) -> str | None:
    """What the dice of a template are made of, each of its own, where they are to fall the same."""
    return None if options.seed is None else f"{options.seed} {what}"


def _topic(topic: str, *, raw: bool, seed: str | None) -> Template:
    template = Template.literal(topic) if raw else _template(topic, seed)
    if template.is_constant:
        check_topic(template.text(1))
    return template


def _template(text: str, seed: str | None = None) -> Template:
    try:
        return Template(text, seed)
    except ValueError as error:
        raise CommandError(f"{error} Or use --raw, to send braces as they are.", 2) from None


def check_topic(topic: str) -> None:
    """Raise CommandError for what is not the name of a topic."""
    problem = topic_problem(topic)
    if problem is not None:
        raise CommandError(problem)


def topic_problem(topic: str) -> str | None:
    """Why it is not the name of a topic, as a sentence, or None."""
    problem = trio_mqtt.topic_name_problem(topic)
    if problem is None:
        return None
    return f"The topic {topic!r} {problem}: a message goes to one topic, for example home/kitchen."
