"""Where `tmqtt broker` listens: by its URLs and ports, else as configured, else on this machine."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import trio_mqtt
from tmqtt.broker.systemd import Inherited, listeners_for
from trio_mqtt.configuration import InvalidConfiguration, Problem

_DEFAULT_URL = "mqtt://127.0.0.1"  # this machine only
_ADDRESS = re.compile(r"(\w+://(?:[^/?@]*@)?)(\[[^/?\]]*\]|[^:/?]+)(:\d*)?([/?].*)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenAt:
    """Where to listen: what is given with the command, and what is configured or inherited.

    `urls` take the place of the listeners that are configured. `ports` are those of the only
    listener, in place of its own. `defaults` are options for all that can have them, as in URLs.
    `worker` is which of several processes this is, from 1, that share their ports; 0: it is alone.
    """

    urls: Sequence[str] = ()
    ports: Sequence[int] = ()
    defaults: Mapping[str, str | Sequence[str]]
    inherited: Sequence[Inherited] = ()
    worker: int = 0

    def __call__(self, configured: Sequence[trio_mqtt.Listen]) -> list[trio_mqtt.Listen]:
        """The listeners, where the file says `configured`.

        Of several processes, the first alone has those at Unix sockets, which none can share.

        Raises InvalidConfiguration for what does not go together, also where the file says another
        thing when it is read again: then the broker stays as it is. Raises InvalidUrlError.
        """
        listeners = self._all(configured)
        if not self.worker:
            return listeners
        shared = [
            listen if listen.url.startswith("unix:") else replace(listen, reuse_port=True)
            for listen in listeners
            if self.worker == 1 or not listen.url.startswith("unix:")
        ]
        if not shared:
            raise _wrong("Workers cannot share a Unix socket: listen at a port as well.")
        return shared

    def _all(self, configured: Sequence[trio_mqtt.Listen]) -> list[trio_mqtt.Listen]:
        for url in self.urls:
            if url.endswith((".toml", ".conf")):
                raise _wrong(
                    f"'{url}' is no address. A configuration file is given by --config {url}."
                )
        if not self.urls and configured:
            return self._as_configured(configured)
        wanted = [trio_mqtt.parse_listen(url, self.defaults) for url in self.wanted_urls()]
        listeners = listeners_for(wanted, self.inherited, self.defaults)
        if "cert" in self.defaults and not any(listen.tls for listen in listeners):
            raise _wrong(
                "A certificate is given, but no listener uses TLS."
                " Listen at mqtts://, wss:// or any://, for example mqtts://localhost."
            )
        return listeners

    def _as_configured(self, configured: Sequence[trio_mqtt.Listen]) -> list[trio_mqtt.Listen]:
        if self.defaults:
            raise _wrong(
                "Options such as --cert are for the URLs that are given with them, and here the"
                " configuration says where to listen: write them there, below [[listeners]]."
            )
        if self.ports:
            if len(configured) > 1:
                raise _wrong(
                    f"--port is for one listener, and the configuration has {len(configured)}:"
                    " write it there, or give URLs in their place."
                )
            (listen,) = configured
            urls = [at_port(listen.url, port) for port in dict.fromkeys(self.ports)]
            configured = [replace(listen, url=url) for url in urls]
        return listeners_for(configured, self.inherited, self.defaults)

    def wanted_urls(self) -> Sequence[str]:
        """The URLs that are given or the default, with the ports that are given.

        Raises InvalidConfiguration.
        """
        if not self.ports:
            return self.urls or (() if self.inherited else (_DEFAULT_URL,))
        if len(self.urls) > 1:
            raise _wrong("--port is for one listener: write mqtt://HOST:PORT for each of several.")
        (url,) = self.urls or (_DEFAULT_URL,)
        found = _ADDRESS.fullmatch(url)
        if found is not None and found[3]:
            raise _wrong(f"{url} has a port already: leave that out, or --port.")
        return [at_port(url, port) for port in dict.fromkeys(self.ports)]


def at_port(url: str, port: int) -> str:
    """The same address with another port."""
    if url.startswith("unix:"):
        raise _wrong(f"--port has no meaning for {url}, a Unix socket.")
    found = _ADDRESS.fullmatch(url)
    if found is None:
        return url  # it is none: it will be refused
    return f"{found[1]}{found[2]}:{port}{found[4] or ''}"


def _wrong(sentence: str) -> InvalidConfiguration:
    return InvalidConfiguration([Problem("listeners", sentence)])
