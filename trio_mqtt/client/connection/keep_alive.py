"""The keep alive of a connection (MQTT 5.0 §3.1.2.10)."""

from __future__ import annotations

import math
from typing import Protocol

import anyio

from trio_mqtt.errors import ConnectionLostError
from trio_mqtt.protocol.packets import PingReq


class KeptAlive(Protocol):
    """A connection, as far as its keep alive needs it."""

    url: str
    has_sent: bool
    has_received: bool

    @property
    def paused(self) -> bool:
        """Whether this end itself does not read."""

    def send(self, packet: PingReq) -> None:
        """Have a packet sent."""


async def keep_alive(connection: KeptAlive, interval: int) -> None:
    """Send PINGREQ where nothing else passes, and notice that the broker is gone.

    `interval` is the keep alive in seconds, 0 for none. Time is counted in quarters of it, so that
    reading and writing need no clock. After two quarters of silence in either direction PINGREQ is
    sent; when nothing at all has come two quarters later, ConnectionLostError is raised. While this
    end itself does not read (backpressure), silence proves nothing.
    """
    if not interval:
        return
    tick = interval / 4
    silent_out = silent_in = 0
    ping_ticks = 0  # since PINGREQ was sent; 0: none is unanswered
    while True:
        await anyio.sleep(tick)
        silent_out = 0 if connection.has_sent else silent_out + 1
        silent_in = 0 if connection.has_received or connection.paused else silent_in + 1
        connection.has_sent = connection.has_received = False
        if silent_in == 0:
            ping_ticks = 0
        elif ping_ticks:
            ping_ticks += 1
            if ping_ticks > 2:
                raise ConnectionLostError(
                    f"The broker at {connection.url} did not answer for "
                    f"{math.ceil(silent_in * tick)} s (keep alive: {interval} s)."
                )
        if ping_ticks == 0 and (silent_out >= 2 or silent_in >= 2):
            ping_ticks = 1
            connection.send(PingReq())
