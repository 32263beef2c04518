"""What a program implements to authenticate by a method of its own (MQTT 5.0 §4.12)."""

from __future__ import annotations

from typing import Protocol


class ClientExchange(Protocol):
    """One authentication, from its first data to the broker's last.

    Each method may raise AuthenticationError where the broker is not to be trusted. The connection
    is closed then, and not made again.
    """

    @property
    def data(self) -> bytes:
        """What is sent first, with CONNECT or the AUTH that begins again; empty for nothing."""

    async def respond(self, challenge: bytes) -> bytes:
        """The answer to what the broker sent with AUTH."""

    async def finish(self, data: bytes) -> None:
        """Check what the broker sent when it let the client in; empty where it sent nothing.

        A broker may let a client in without any challenge: that is for this method to refuse.
        """


class ClientAuthentication(Protocol):
    """An authentication method, and what it needs to know of the user.

    It is used on each connection that the client makes, and again by `Client.reauthenticate`.
    """

    @property
    def method(self) -> str:
        """The name of the method, such as SCRAM-SHA-256."""

    def begin(self) -> ClientExchange:
        """A new authentication."""
