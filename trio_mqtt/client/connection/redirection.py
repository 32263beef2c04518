"""Where a broker sends its client (MQTT 5.0 §4.11), and how far the client follows."""

from __future__ import annotations

from dataclasses import replace

from trio_mqtt.errors import (
    ConnectionRefusedByBrokerError,
    DisconnectedByBrokerError,
    InvalidUrlError,
    MqttError,
)
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.transport.urls import Address, parse_url

# Servers in a row that a client may be sent to before it no longer believes in it.
MAX_HOPS = 5
# A connection that stood for so many seconds was one: the next redirection begins a new row.
STABLE_AFTER = 10.0
# References of one broker that are tried.
_MAX_REFERENCES = 10

RedirectionError = ConnectionRefusedByBrokerError | DisconnectedByBrokerError


def is_redirection(error: MqttError) -> bool:
    """Whether a broker has ended, or not begun, a connection by sending the client elsewhere."""
    return isinstance(error, RedirectionError) and error.reason_code in (
        ReasonCode.USE_ANOTHER_SERVER,
        ReasonCode.SERVER_MOVED,
    )


class Redirection:
    """Follows the references of brokers, within bounds.

    `home` is where the client belongs: the address it was opened with, until that has moved for
    good (SERVER_MOVED). After USE_ANOTHER_SERVER it returns there when the connection is lost.
    """

    def __init__(self, home: Address, *, allowed: bool) -> None:
        self.home = home
        self.allowed = allowed
        self._hops = 0
        self._moved = True  # all hops so far were for good

    def reset(self) -> None:
        """A row of redirections is over: the connection stood, or failed for another reason."""
        self._hops = 0
        self._moved = True

    def arrived(self, address: Address) -> None:
        """The client was accepted where it was sent."""
        if self._hops and self._moved:
            self.home = address

    def targets(self, error: MqttError, here: Address) -> list[Address]:
        """Where `error` sends a client of the broker at `here`; never none.

        Raises `error`, in more words, where it is not to be followed.
        """
        if not isinstance(error, RedirectionError) or not self.allowed:
            raise error
        self._hops += 1
        if self._hops > MAX_HOPS:
            raise _refused(error, f"After {MAX_HOPS} servers in a row it is not followed.")
        self._moved = self._moved and error.reason_code == ReasonCode.SERVER_MOVED
        found: list[Address] = []
        problems: list[str] = []
        for reference in error.server_reference.split()[:_MAX_REFERENCES]:
            try:
                target = _target(reference, here)
            except InvalidUrlError:
                problems.append(f"{reference!r} is not an address that can be followed")
                continue
            if _is_safe(here) and not _is_safe(target):
                problems.append(f"{target.url} would do without TLS")
            elif target not in found:
                found.append(target)
        if not found:
            why = "; ".join(problems) or "it does not say where"
            raise _refused(error, f"It cannot be followed: {why}.")
        return found


def _refused(error: RedirectionError, sentence: str) -> RedirectionError:
    return type(error)(f"{error} {sentence}", error.reason_code, error.server_reference)


def _is_safe(address: Address) -> bool:
    """Whether what is sent there, a password above all, is read by nobody on the way."""
    return address.is_tls or address.scheme == "unix"


def _target(reference: str, here: Address) -> Address:
    """The address in a server reference: HOST, HOST:PORT, or a URL. Raises InvalidUrlError.

    What it leaves out is as here; but a broker may not send its client to a Unix socket.
    """
    if "://" not in reference:
        # From a Unix socket into the network: only by TLS, as anything less would be weaker.
        scheme = "mqtts" if here.scheme == "unix" else here.scheme
        path = here.path if here.is_websocket else ""
        reference = f"{scheme}://{reference}{path}"
    target = parse_url(reference)
    if target.scheme == "unix":
        raise InvalidUrlError(f"{reference!r} is a socket of this machine.")
    return replace(target, username=None, password=None)
