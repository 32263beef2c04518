"""Where a broker of a test is found."""

from __future__ import annotations

from trio_mqtt.transport.urls import parse_url


class BrokerAddress:
    """Where a broker, or the network before it, listens: the same for as long as the test lasts."""

    def __init__(self, url: str) -> None:
        address = parse_url(url)
        self._url = url
        self._host = address.host
        self._port = address.port

    @property
    def url(self) -> str:
        """Its URL, such as mqtt://127.0.0.1:40123."""
        return self._url

    @property
    def host(self) -> str:
        """The host; empty for a Unix socket."""
        return self._host

    @property
    def port(self) -> int:
        """The TCP port; 0 for a Unix socket."""
        return self._port
