"""Connections on which nothing happens cost nothing (CVE-2023-5632)."""

from __future__ import annotations

import socket

import trio

import trio_mqtt
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import Connect, Subscribe, Subscription
from trio_mqtt.transport.urls import parse_url

V5 = ProtocolVersion.V5
IDLE = 0.5  # seconds


class Steps(trio.abc.Instrument):
    """Counts how often any task runs."""

    count = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.count += 1


async def test_idle_connections_do_not_keep_the_broker_busy() -> None:
    async with trio_mqtt.open_broker("mqtt://127.0.0.1:0") as broker:
        address = parse_url(broker.url)
        streams = [await trio.open_tcp_stream(address.host, address.port) for _ in range(40)]
        said = [
            b"",  # nothing at all
            encode(Connect("", keep_alive=60), V5)[:9],  # the beginning of CONNECT
            encode(Connect("", keep_alive=60), V5),
            encode(Connect("", keep_alive=60), V5) + encode(Subscribe(1, [Subscription("#")]), V5),
            encode(Connect("", keep_alive=60), V5) + b"\x30\x80\x80\x04\x00\x01t",  # a part
        ]
        for number, stream in enumerate(streams):
            await stream.send_all(said[number % len(said)])
        for stream in streams[2::5]:
            await stream.receive_some()  # CONNACK: these are connected
        streams[2].socket.shutdown(socket.SHUT_WR)  # it only listens from now on
        await trio.sleep(0.2)
        steps = Steps()
        trio.lowlevel.add_instrument(steps)
        try:
            await trio.sleep(IDLE)
        finally:
            trio.lowlevel.remove_instrument(steps)
        for stream in streams:
            await stream.aclose()
    assert steps.count < 20
