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

_GREETING = "Hello mqtt {ms}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where payloads come from: of these, the one that is set; of none, a greeting."""

    message: str | None = None
    file: str | None = None
    empty: bool = False
    whole_input: bool = False
    lines: bool = False
    size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PubOptions:
    """What to publish. Durations are in seconds; where `count` is None it goes on for ever."""

    topics: tuple[str, ...]
    source: Source
    raw: bool = False
    every: float | None = None
    count: int | None = None
    span: float | None = None
    qos: int = 0
    retain: bool = False
    properties: Mapping[str, Any] = field(default_factory=dict)
    verbose: bool = False
    payload_format: PayloadFormat | None = None

    @property
    def is_single(self) -> bool:
        """Whether it is one message to each topic, and done."""
        return self.count == 1 and not self.source.lines


def is_quick(options: PubOptions) -> bool:
    """Whether it is but a message, and nothing is shown: then the least of the library is needed.

    What waits for standard input needs more: a wait that can be given up.
    """
    source = options.source
    return (
        options.is_single
        and options.span is None
        and not options.verbose
        and not os.isatty(1)
        and not source.whole_input
        and source.file != "-"
    )


def topic_templates(options: PubOptions) -> list[Template]:
    """The topics. Raises CommandError for one that is not a topic."""
    return [_topic(topic, raw=options.raw) for topic in options.topics]


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
        return _template(_GREETING)
    return Template.literal(message) if options.raw else _template(message)


def _topic(topic: str, *, raw: bool) -> Template:
    template = Template.literal(topic) if raw else _template(topic)
    if template.is_constant:
        check_topic(template.text(1))
    return template


def _template(text: str) -> Template:
    try:
        return Template(text)
    except ValueError as error:
        raise CommandError(f"{error} Or use --raw, to send braces as they are.", 2) from None


def check_topic(topic: str) -> None:
    """Raise CommandError for what is not the name of a topic."""
    problem = trio_mqtt.topic_name_problem(topic)
    if problem is not None:
        raise CommandError(
            f"The topic {topic!r} {problem}: a message goes to one topic, for example home/kitchen."
        )
