"""Where the broker of a test listens, each time at the same address, and who has come there."""

from __future__ import annotations

from dataclasses import replace

from trio_mqtt.broker.listen import Listen, parse_listen
from trio_mqtt.testing.ports import ListeningSocket, Port
from trio_mqtt.transport.listeners.options import ServerTls
from trio_mqtt.transport.urls import parse_url


class Listening:
    """One address; of a Unix socket, whose end nobody can bring about without a word, as well."""

    def __init__(self, where: str | Listen, tls: ServerTls | None = None) -> None:
        listen = parse_listen(where) if isinstance(where, str) else where
        if tls is not None:
            listen = replace(listen, tls=tls)
        self._port: Port | None = None
        self._socket: ListeningSocket | None = None
        address = parse_url(listen.url, listening=True)
        if address.scheme != "unix" and listen.socket is None:
            try:
                self._port = Port(address.host, address.port)
            except (OSError, UnicodeError):
                pass  # the broker says why not, as it does to everybody
            else:
                address = replace(address, port=self._port.number)
                listen = replace(listen, url=address.url)
        self._listen = listen

    def open(self) -> Listen:
        """Begin to listen, for one broker."""
        if self._port is None:
            return self._listen
        try:
            self._socket = self._port.listen(ListeningSocket)
        except OSError:
            return self._listen  # the broker says why not
        return replace(self._listen, socket=self._socket)

    def url(self, listening: str) -> str:
        """The address for clients, of a broker that says that it is `listening` there."""
        return listening if self._port is None else self._listen.url

    def sever(self) -> None:
        """End all connections that have come there without a word, and listen no more."""
        if self._socket is not None:
            self._socket.sever()

    def close(self) -> None:
        """The address is not needed any more."""
        if self._port is not None:
            self._port.close()
