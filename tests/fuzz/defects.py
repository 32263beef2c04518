"""Deliberate defects, of the kinds that brokers have had: the fuzzer has to find each of them.

Each is a function that plants one in the library, in the process of a broker.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from itertools import count
from typing import Any

from trio_mqtt.broker.access.permissions import Permissions
from trio_mqtt.broker.connections import connection
from trio_mqtt.broker.connections.requests import Requests
from trio_mqtt.broker.core import Core
from trio_mqtt.protocol import decoding, packet_decoding, wire
from trio_mqtt.protocol.packets import PingReq, PingResp, PubRel
from trio_mqtt.protocol.server_connection import ServerConnection

Function = Callable[..., Any]


def _patch(owner: Any, name: str, make: Callable[[Function], Function]) -> None:
    setattr(owner, name, make(getattr(owner, name)))


def _patch_properties(look: Callable[[list[tuple[str, str]]], None]) -> None:
    """Have a look at the user properties of each packet."""

    def make(decode: Function) -> Function:
        def decode_properties(*arguments: Any) -> Any:
            found = decode(*arguments)
            look(found.get("user_property", []))
            return found

        return decode_properties

    for module in (decoding, packet_decoding):
        _patch(module, "decode_properties", make)


def uncaught_error() -> None:
    """A property whose name is empty is an IndexError, which nobody expects."""

    def look(pairs: list[tuple[str, str]]) -> None:
        for name, _ in pairs:
            name[0]

    _patch_properties(look)


def freezes() -> None:
    """Many properties take quadratic time."""
    _patch_properties(lambda pairs: time.sleep(len(pairs) ** 2 / 20_000))


def dies() -> None:
    """The process ends at the release of the last identifier there is."""

    def make(handle: Function) -> Function:
        def handled(requests: Requests, packet: Any, session: Any) -> Any:
            if isinstance(packet, PubRel) and packet.packet_id == 65_535:
                os._exit(1)
            return handle(requests, packet, session)

        return handled

    _patch(Requests, "handle", make)


def answers_twice() -> None:
    """PINGREQ is answered twice."""

    def make(handle: Function) -> Function:
        def handled(requests: Requests, packet: Any, session: Any) -> Any:
            if isinstance(packet, PingReq):
                requests._answer(PingResp())
            return handle(requests, packet, session)

        return handled

    _patch(Requests, "handle", make)


def keeps_descriptors() -> None:
    """A descriptor stays open for each connection that says no CONNECT."""

    def make(receive: Function) -> Function:
        async def receive_first(link: Any) -> Any:
            packets = await receive(link)
            if not packets:
                os.dup(0)
            return packets

        return receive_first

    _patch(connection, "receive_first", make)


def keeps_memory() -> None:
    """What breaks the rules is kept for ever."""
    kept: list[bytes] = []

    def make(receive: Function) -> Function:
        def received(protocol: ServerConnection, data: bytes) -> Any:
            packets = receive(protocol, data)
            if protocol.violation is not None:
                kept.append(bytes(data) * 20)
            return packets

        return received

    _patch(ServerConnection, "receive", make)


def ignores_sizes() -> None:
    """What a client says of the largest packet that it takes is forgotten."""

    def make(learn: Function) -> Function:
        def learned(protocol: ServerConnection, properties: Any) -> None:
            learn(protocol, properties)
            protocol.peer_maximum_packet_size = wire.MAX_PACKET_SIZE

        return learned

    _patch(ServerConnection, "_learn", make)


def lets_all_read() -> None:
    """Access rules are not asked about what is sent."""
    for name in ("may_receive", "may_subscribe"):
        _patch(Permissions, name, lambda _: lambda *_: True)


def takes_bad_text() -> None:
    """What is no UTF-8 is read as if it was."""
    _patch(wire, "decode_utf8", lambda _: lambda raw: raw.decode(errors="ignore"))


def loses_messages() -> None:
    """One message in some hundreds goes nowhere."""
    numbers = count(1)

    def make(route: Function) -> Function:
        def routed(core: Core, batch: Any, *arguments: Any) -> Any:
            return () if next(numbers) % 300 == 0 else route(core, batch, *arguments)

        return routed

    _patch(Core, "route", make)


DEFECTS: dict[str, Callable[[], None]] = {
    "answers-twice": answers_twice,
    "dies": dies,
    "freezes": freezes,
    "ignores-sizes": ignores_sizes,
    "keeps-descriptors": keeps_descriptors,
    "keeps-memory": keeps_memory,
    "lets-all-read": lets_all_read,
    "loses-messages": loses_messages,
    "takes-bad-text": takes_bad_text,
    "uncaught-error": uncaught_error,
}
