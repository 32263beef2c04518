"""How a client's connection stands, at one glance."""

from __future__ import annotations

from enum import Enum

from trio_mqtt.errors import MqttError
from trio_mqtt.records import record


class ConnectionState(Enum):
    """What a client does about its connection."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    WAITING = "waiting to connect again"
    CLOSED = "closed"


@record
class ClientStatus:
    """How the connection stands: `Client.status`.

    `reason` is why the last connection or attempt failed, or why the client ended; None if nothing
    did. `attempt` counts the attempts since the connection was lost. While WAITING, the next begins
    at `next_attempt`, in seconds of `anyio.current_time()`.
    """

    state: ConnectionState
    reason: MqttError | None = None
    attempt: int = 0
    next_attempt: float | None = None

    def __str__(self) -> str:
        said = self.state.value
        if self.attempt:
            said += f", attempt {self.attempt}"
        return f"{said}: {self.reason}" if self.reason is not None else said
