"""A network of real sockets, before a broker that listens at a TCP port."""

from __future__ import annotations

import socket
import struct
from dataclasses import replace

import trio

from trio_mqtt.errors import ConfigurationError
from trio_mqtt.testing.addresses import BrokerAddress
from trio_mqtt.testing.network.links import NetworkLink
from trio_mqtt.testing.network.network import Calling, Network
from trio_mqtt.testing.ports import Port
from trio_mqtt.transport.urls import parse_url

# Closing sends a reset, and what is not sent yet is thrown away.
_LINGER = struct.pack("ii", 1, 0)


class BrokerNetwork(Network, BrokerAddress):
    """A `Network` before a `BrokerInThread`: clients that connect to its `url` are concerned.

    It stays while the broker is restarted.
    """

    def __init__(self, broker: str, nursery: trio.Nursery, call: Calling) -> None:
        """Raises ConfigurationError for a broker at a Unix socket."""
        address = parse_url(broker, listening=True)
        if address.scheme == "unix":
            raise ConfigurationError("There is no network before a Unix socket: use mqtt://.")
        Network.__init__(self, call, sees_packets=address.scheme == "mqtt")
        self._place = Port(address.host, 0)
        BrokerAddress.__init__(self, replace(address, port=self._place.number).url)
        self._target = address.host, address.port
        self._nursery = nursery
        self._listener: trio.SocketListener | None = None
        self._accept()

    def _accept(self) -> None:
        if self._listener is None:
            listening = self._place.listen(socket.socket)
            self._listener = trio.SocketListener(trio.socket.from_stdlib_socket(listening))
            self._nursery.start_soon(self._serve, self._listener)

    def _refuse(self) -> None:
        if self._listener is not None:
            self._listener.socket.close()
            self._listener = None

    async def _serve(self, listener: trio.SocketListener) -> None:
        try:
            await trio.serve_listeners(self._connect, [listener], handler_nursery=self._nursery)
        except* trio.ClosedResourceError:  # by `refuse`
            pass

    async def _connect(self, client: trio.SocketStream) -> None:
        try:
            broker = await trio.open_tcp_stream(*self._target)
        except OSError:
            _close(client, True)
            return
        await self._carry(NetworkLink(client, broker, self._steering, _close))

    def close(self) -> None:
        """The test is over."""
        self._place.close()


def _close(stream: trio.abc.Stream, is_sudden: bool) -> None:
    if isinstance(stream, trio.SocketStream):
        if is_sudden and stream.socket.fileno() >= 0:
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
        stream.socket.close()
