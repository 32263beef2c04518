"""What the test has the network do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Literal, Protocol, TypeVar

from trio_mqtt.protocol.packet_types import PacketType
from trio_mqtt.testing.network.conditions import (
    BOTH,
    Conditions,
    OnPacket,
    Order,
    Selection,
    Steering,
)
from trio_mqtt.testing.network.frames import Direction
from trio_mqtt.testing.network.links import NetworkLink

T = TypeVar("T")
_KINDS = frozenset(PacketType.__members__)


class Calling(Protocol):
    """How what the test says gets to where the network runs."""

    def __call__(self, work: Callable[[], T], /) -> T:
        """Have it done there, and return what comes of it."""


def at_once(work: Callable[[], T]) -> T:
    """The network runs where the test does."""
    return work()


class Network(ABC):
    """The network between clients and the broker of a test: it does what the test says.

    `broker.network` is one; only what connects through it is concerned. `direction` is "to broker"
    or "to client"; without it, both are meant. All holds for connections that there are and that
    come, until `heal`. Packets are seen in plain MQTT over TCP, not within TLS or WebSocket.

        broker.network.delay(0.2)
        broker.network.drop("PUBACK")
        broker.network.cut()
    """

    def __init__(self, call: Calling = at_once, *, sees_packets: bool = True) -> None:
        self._call = call
        self._steering = Steering(sees_packets=sees_packets)
        self._links: dict[NetworkLink, None] = {}

    # -- all that passes ------------------------------------------------------------------------

    def delay(self, seconds: float, direction: Direction | None = None) -> None:
        """What is sent from now on arrives so many seconds later, in its order."""
        if not seconds >= 0:
            raise ValueError(f"A delay is 0 seconds or more, not {seconds}.")
        self._each(direction, lambda one: setattr(one, "delay", seconds))

    def limit_rate(
        self, bytes_per_second: float | None, direction: Direction | None = None
    ) -> None:
        """No more than so many bytes a second arrive on each connection; None: as many as come."""
        if bytes_per_second is not None and not bytes_per_second > 0:
            raise ValueError(f"A rate is more than 0 bytes a second, not {bytes_per_second}.")
        self._each(direction, lambda one: setattr(one, "rate", bytes_per_second))

    def freeze(self, direction: Direction | None = None) -> None:
        """Nothing arrives any more, and nobody is told: connections are half open, until `thaw`.

        Not even the end of a connection arrives.
        """
        self._each(direction, Conditions.freeze)

    def thaw(self, direction: Direction | None = None) -> None:
        """What was held by `freeze` arrives, and goes on arriving."""
        self._each(direction, Conditions.thaw)

    def heal(self) -> None:
        """From now on all goes through, and connections are accepted.

        What is delayed already arrives when it was to arrive.
        """
        self._call(self._heal)

    # -- connections ----------------------------------------------------------------------------

    def cut(self, client_id: str | None = None) -> int:
        """End connections at once at both ends: all, or those of a client; how many those were.

        Both ends see a reset. What was under way is lost.
        """
        if client_id is not None:
            self._check_sees_packets()
        return self._call(lambda: self._cut(client_id))

    def cut_after(
        self,
        *,
        packets: int | None = None,
        bytes: int | None = None,  # noqa: A002 # what it counts
        direction: Direction,
    ) -> None:
        """Cut the connection on which so many more packets, or bytes, have arrived, of all."""
        for number in (packets, bytes):
            if number is not None and number < 1:
                raise ValueError(f"It is cut after 1 or more, not {number}.")
        if (packets is None) == (bytes is None):
            raise ValueError("Give either packets or bytes.")
        if packets is not None:
            self._check_sees_packets()

        def put(one: Conditions) -> None:
            one.packets_left, one.bytes_left = packets, bytes

        self._each(direction, put)

    def refuse(self) -> None:
        """Whoever connects is refused, until `accept`; who is connected stays."""
        self._call(self._refuse)

    def accept(self) -> None:
        """Whoever connects is let through again."""
        self._call(self._accept)

    # -- single packets -------------------------------------------------------------------------

    def drop(
        self,
        kind: str,
        *,
        direction: Direction | None = None,
        topic: str | None = None,
        client_id: str | None = None,
        count: int = 1,
    ) -> None:
        """Lose the next packet of a kind, such as "PUBACK", or the next `count`.

        `topic` is a topic filter for PUBLISH. The connection goes on, as no real one would that has
        lost something: whoever waits for the packet waits, until the connection is cut.
        """
        self._order("drop", Selection(self._kind(kind), direction, topic, client_id), count)

    def duplicate(
        self,
        kind: str,
        *,
        direction: Direction | None = None,
        topic: str | None = None,
        client_id: str | None = None,
        count: int = 1,
    ) -> None:
        """Have the next packet of a kind arrive twice; a PUBLISH above QoS 0 then has DUP set."""
        self._order("duplicate", Selection(self._kind(kind), direction, topic, client_id), count)

    def cut_at(
        self,
        kind: str,
        *,
        direction: Direction | None = None,
        topic: str | None = None,
        client_id: str | None = None,
        count: int = 1,
    ) -> None:
        """Cut the connection in place of the next packet of a kind, which is lost.

        network.cut_at("PUBACK")  # the broker has it, and the client will send it again
        """
        self._order("cut", Selection(self._kind(kind), direction, topic, client_id), count)

    def reorder(
        self,
        *,
        direction: Direction | None = None,
        topic: str | None = None,
        client_id: str | None = None,
        count: int = 1,
        within: float = 1.0,
    ) -> None:
        """Have the next PUBLISH overtaken by the packet after it, where the standard allows that.

        It may be a message of another topic or QoS, or an acknowledgement (MQTT 5.0 §4.6). Where
        it may not, or nothing comes for `within` seconds, the order stays.
        """
        selection = Selection("PUBLISH", direction, topic, client_id)
        self._order("reorder", selection, count, within)

    def on_packet(self, function: OnPacket) -> OnPacket:
        """Have a function called with each `NetworkPacket`, until `heal`; as a decorator, too.

        It says what becomes of the packet, and is called where the network runs: for the broker in
        a thread, in that thread. It may look at what was published, and tell the network more, but
        wait for nothing. What it raises ends the broker, and the test with it.

            @broker.network.on_packet
            def lose_every_second_ping(packet): ...
        """
        self._check_sees_packets()
        self._call(lambda: self._steering.watchers.append(function))
        return function

    # -- where it runs --------------------------------------------------------------------------

    def _order(
        self,
        action: Literal["drop", "duplicate", "cut", "reorder"],
        selection: Selection,
        count: int,
        patience: float = 0.0,
    ) -> None:
        self._check_sees_packets()
        _check_direction(selection.direction)
        if count < 1:
            raise ValueError(f"count is 1 or more, not {count}.")
        order = Order(selection, action, count, patience)
        self._call(lambda: self._steering.orders.append(order))

    def _kind(self, kind: str) -> str:
        if kind not in _KINDS:
            raise ValueError(f"There is no packet {kind!r}; there are {', '.join(sorted(_KINDS))}.")
        return kind

    def _check_sees_packets(self) -> None:
        if not self._steering.sees_packets:
            raise RuntimeError(
                "Within TLS and WebSocket the network sees no packets: use a broker at mqtt://."
            )

    def _each(self, direction: Direction | None, change: Callable[[Conditions], Any]) -> None:
        _check_direction(direction)

        def do() -> None:
            for one in BOTH if direction is None else (direction,):
                change(self._steering.conditions[one])

        self._call(do)

    def _heal(self) -> None:
        self._steering.heal()
        self._accept()

    def _cut(self, client_id: str | None) -> int:
        links = [one for one in self._links if client_id in (None, one.client_id)]
        for link in links:
            link.cut()
        return len(links)

    async def _carry(self, link: NetworkLink) -> None:
        """Have a connection served until it ends."""
        self._links[link] = None
        try:
            await link.run()
        finally:
            del self._links[link]

    @abstractmethod
    def _refuse(self) -> None:
        """Let nobody connect any more."""

    @abstractmethod
    def _accept(self) -> None:
        """Let whoever comes connect again."""


def _check_direction(direction: str | None) -> None:
    if direction not in (None, *BOTH):
        raise ValueError(f"A direction is 'to broker' or 'to client', not {direction!r}.")
