"""What the broker says when it starts: where it listens, who may connect there, what is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio_mqtt
from tmqtt.broker.remedies import Remedies
from tmqtt.terminal import looks
from tmqtt.terminal.escaping import escape
from tmqtt.terminal.looks import Line

if TYPE_CHECKING:
    from trio_mqtt.access import WaysIn


def lines_of(broker: trio_mqtt.Broker, remedies: Remedies, *sentences: str) -> list[Line]:
    """The addresses, each with who may connect; the sentences; and how to let others in.

    That only where nobody else may.
    """
    found: list[Line] = []
    everybody_is_asked = all_local = True
    for listen in broker.listeners:
        ways_in = broker.ways_in(listen)
        all_local = all_local and ways_in.local
        everybody_is_asked = everybody_is_asked and not ways_in.anonymous
        found.append((("Listening at ", looks.PLAIN), (listen.url, looks.STRONG)))
        text, is_open = _who(ways_in, remedies)
        found.append(((escape(text), looks.WARNING if is_open else looks.NOTE),))
    found += [((escape(sentence), looks.NOTE),) for sentence in sentences]
    if all_local:
        hint = remedies.for_others(everybody_is_asked=everybody_is_asked)
        found.append(((escape(hint), looks.NOTE),))
    return found


def exposed(broker: trio_mqtt.Broker) -> list[str]:
    """Where anybody may connect from anywhere, each in a sentence, as the log has it."""
    return [
        f"Anyone who can reach {listen.url} may connect, without a password."
        for listen in broker.listeners
        if _is_open(broker.ways_in(listen))
    ]


def _is_open(ways_in: WaysIn) -> bool:
    """Whether anybody from anywhere may connect."""
    return ways_in.anonymous and not ways_in.local


def _who(ways_in: WaysIn, remedies: Remedies) -> tuple[str, bool]:
    """Who may connect at a listener, and whether that is anybody from anywhere."""
    if _is_open(ways_in):
        return (
            "Warning: anyone who can reach this address may connect, without a password."
            f" {remedies.passwords} changes that."
        ), True
    if ways_in.anonymous:
        return "Anyone on this machine may connect.", False
    shown = []
    if ways_in.passwords:
        shown.append("a user name and a password")
    if ways_in.tokens:
        shown.append("a token (JWT) as the password")
    if ways_in.certificates:
        shown.append("a certificate")
    if ways_in.methods:
        shown.append(" or ".join(ways_in.methods))
    if ways_in.hooks:
        shown.append("what the program asks for")
    if not shown:
        return f"Nobody may connect: {remedies.passwords} says who may.", False
    where = "on this machine " if ways_in.local else ""
    return f"Clients {where}may connect with {' or '.join(shown)}.", False
