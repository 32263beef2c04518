"""What the broker says when it starts: where it listens, who may connect there, what to change."""

from __future__ import annotations

import trio_mqtt
from tmqtt import looks
from tmqtt.looks import Line

ANYBODY = (
    "Warning: anyone who can reach this address may connect, without a password."
    " --password-file FILE changes that."
)


def lines_of(broker: trio_mqtt.Broker) -> list[Line]:
    """The addresses, each with who may connect."""
    found: list[Line] = []
    for listen in broker.listeners:
        found.append((("Listening at ", looks.PLAIN), (listen.url, looks.STRONG)))
        text, is_open = _who(broker, listen)
        found.append(((text, looks.WARNING if is_open else looks.NOTE),))
    return found


def _who(broker: trio_mqtt.Broker, listen: trio_mqtt.Listen) -> tuple[str, bool]:
    """Who may connect at a listener, and whether that is anybody from anywhere."""
    doors = broker.entrances(listen)
    if doors.anonymous and not doors.local:
        return ANYBODY, True
    if doors.anonymous:
        return "Anyone on this machine may connect.", False
    ways = []
    if doors.passwords:
        ways.append("a user name and a password")
    if doors.tokens:
        ways.append("a token (JWT) as the password")
    if doors.certificates:
        ways.append("a certificate")
    if doors.methods:
        ways.append(" or ".join(doors.methods))
    if doors.hooks:
        ways.append("what the program asks for")
    if not ways:
        return "Nobody may connect: --password-file FILE says who may.", False
    where = "on this machine " if doors.local else ""
    return f"Clients {where}may connect with {' or '.join(ways)}.", False
