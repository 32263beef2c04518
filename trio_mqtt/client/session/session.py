"""The session: what lasts from one connection to the next, and what each packet asks of it."""

from __future__ import annotations

import anyio

from trio_mqtt.client.connection.connection import Connection
from trio_mqtt.client.messages import Messages
from trio_mqtt.client.session.incoming import Incoming
from trio_mqtt.client.session.journal import Journal
from trio_mqtt.client.session.outgoing import Outgoing
from trio_mqtt.client.session.subscribing import Subscribing
from trio_mqtt.errors import MqttError
from trio_mqtt.protocol.packets import (
    Auth,
    Disconnect,
    Packet,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    UnsubAck,
)


class Session:
    """The state of a client, and what it does with each packet that comes.

    All methods but the waits are synchronous: nothing is ever seen half done, and cancelling a wait
    leaves the state as it is.
    """

    def __init__(self) -> None:
        self.connection: Connection | None = None
        self.error: MqttError | None = None  # why there will be no connection any more
        self.incoming = Incoming()
        self.outgoing = Outgoing()
        self.subscribing = Subscribing(self.outgoing.sender, self.incoming.subscriptions)
        self.on_room = self.outgoing.on_room  # as a connection calls it for each write
        self.hold = self.outgoing.queues.hold
        self.speak_first = self.outgoing.queues.speak_first
        self.release = self.outgoing.release
        self._attached = False  # to a connection, now or before
        self._connected = anyio.Event()
        self._awaiting = 0  # tasks that wait for an answer of the broker

    def keep_in(self, journal: Journal) -> None:
        """Go on with what the store holds, and keep there what comes."""
        self.outgoing.keep_in(journal)
        self.incoming.keep_in(journal)

    # Connections come and go.

    def attach(self, connection: Connection) -> None:
        """Go on with a new connection: what was begun is sent again as its session allows."""
        present = connection.connack.session_present
        self.connection = connection
        self.incoming.attach(connection, present=present)
        if present and not self._attached:
            # The session is older than this program: its messages wait until they find a user.
            self.incoming.keep_unclaimed()
        self._attached = True
        self.outgoing.attach(connection, present=present)
        self.subscribing.attach(connection)
        if self.error is None:
            self.subscribing.renew(connection, present=present)
        self.outgoing.send_again(connection)
        connection.flush()
        self._connected.set()
        if self.outgoing.begin_waiting():
            connection.flush_soon()

    def detach(self, error: MqttError) -> None:
        """The connection has ended: requests on it will not be answered, messages stay."""
        self.connection = None
        if self.error is None:
            self._connected = anyio.Event()
        self.outgoing.detach()
        self.incoming.detach()
        self.subscribing.detach(error)

    def end(self, error: MqttError, *, in_order: bool = False) -> None:
        """There will be no connection any more: everybody who waits is told why.

        `in_order` means that the program wants it so: iterations end without an error.
        """
        if self.error is not None:
            return
        self.error = error
        self.connection = None
        self.outgoing.end(error)
        self.subscribing.detach(error)
        self.incoming.end(None if in_order else error)
        self._connected.set()

    async def connected(self) -> Connection:
        """The connection, once there is one. Raises the error that ended the client."""
        while self.error is None:
            if self.connection is not None:
                return self.connection
            await self._connected.wait()
        raise self.error

    # Waiting for answers, and reading no faster than messages are taken.

    def begin_to_wait(self) -> None:
        """A task comes to wait for the broker: read on, even past full queues."""
        self._awaiting += 1
        if self.incoming.full and self.connection is not None:
            self.connection.resume()

    def end_to_wait(self) -> None:
        self._awaiting -= 1

    def must_pause(self) -> bool:
        """Whether queues are full and nobody waits for what is behind them."""
        return bool(self.incoming.full) and not self._awaiting

    # Packets.

    def on_packets(self, connection: Connection, packets: list[Packet]) -> None:
        """Do what each packet asks for; acknowledgements are gathered for one write."""
        if connection.closing:
            return
        touched: set[Messages] = set()
        try:
            self._on_each(connection, packets, touched)
        finally:
            self.incoming.wake(touched)

    def on_last_packets(self, packets: list[Packet]) -> None:
        """Messages came, and nothing can be answered: all but those of QoS 0 will come again."""
        touched: set[Messages] = set()
        for packet in packets:
            if isinstance(packet, Publish) and not packet.qos:
                self.incoming.offer([packet], self.incoming.subscriptions.targets(packet), touched)
        self.incoming.wake(touched)

    def _on_each(
        self, connection: Connection, packets: list[Packet], touched: set[Messages]
    ) -> None:
        incoming = self.incoming
        outgoing = self.outgoing
        run: list[Publish] = []  # of QoS 0 without properties, on one topic
        topic: str | None = None
        for packet in packets:
            if isinstance(packet, Publish):
                if not packet.qos and not packet.properties:
                    if packet.topic is topic:
                        run.append(packet)
                        continue
                    if run:
                        incoming.on_run(run, touched)
                    run = [packet]
                    topic = packet.topic
                    continue
                if run:
                    incoming.on_run(run, touched)
                    run = []
                    topic = None
                if packet.qos:
                    touched.update(incoming.on_publish(connection, packet))
                else:
                    incoming.offer([packet], incoming.subscriptions.targets(packet), touched)
                continue
            if run:
                incoming.on_run(run, touched)
                run = []
                topic = None
            if isinstance(packet, PubAck):
                outgoing.on_puback(packet)
            elif isinstance(packet, PubRec):
                outgoing.on_pubrec(connection, packet)
            elif isinstance(packet, PubRel):
                incoming.on_pubrel(connection, packet)
            elif isinstance(packet, PubComp):
                outgoing.on_pubcomp(packet)
            elif isinstance(packet, SubAck | UnsubAck):
                self.subscribing.on_answer(packet)
            elif isinstance(packet, Disconnect):
                connection.on_disconnect(packet)
            elif isinstance(packet, Auth):
                connection.on_auth(packet)
        if run:
            incoming.on_run(run, touched)
        if outgoing.to_resend:
            outgoing.resend(connection)
        if outgoing.waiting_acknowledged:
            outgoing.begin_waiting()
