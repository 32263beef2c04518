"""Connections through a proxy, which python-socks speaks with, on a stream of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio

from trio_mqtt.errors import ConnectionFailedError
from trio_mqtt.transport.connectors.layers import LowerStream
from trio_mqtt.transport.connectors.proxies import Proxy
from trio_mqtt.transport.connectors.socket_failures import NoOriginError
from trio_mqtt.transport.connectors.sockets import connect_tcp
from trio_mqtt.transport.connectors.tls_options import TlsOptions, client_context
from trio_mqtt.transport.urls import Address

if TYPE_CHECKING:
    import ssl

_READ_SIZE = 4_096
_MAX_ANSWER = 65_536  # bytes of what a proxy says before it is no proxy


async def connect_through(
    proxy: Proxy, address: Address, bind_address: str | None = None
) -> LowerStream:
    """A stream to the broker at `address`, through a proxy, from an address of this machine.

    Raises ConnectionFailedError, whose text says whether the proxy or the broker is the reason, and
    TlsError for a proxy at https:// that is not to be trusted. The caller sets a time limit.
    """
    from python_socks import ProxyError, ProxyType
    from python_socks.async_.anyio.v2 import Proxy as Library

    first: Any = _ToProxy(proxy, bind_address)
    library = Library(
        ProxyType[proxy.kind.upper()],
        proxy.host,
        proxy.port,
        proxy.username,
        proxy.password,
        rdns=proxy.is_asked_for_names,
        proxy_ssl=client_context(TlsOptions()) if proxy.scheme == "https" else None,
        forward=first,  # what connects to the proxy itself
    )
    try:
        found: Any = await library.connect(address.host, address.port, timeout=1e9)
    except ConnectionFailedError:
        raise
    except ProxyError as error:
        raise _refused(proxy, address, error, error.error_code) from error
    except (anyio.EndOfStream, anyio.BrokenResourceError) as error:
        raise _closed(proxy, address) from error
    except Exception as error:
        # What comes of an answer that is none, in the library.
        raise ConnectionFailedError(
            f"What answers at {proxy.url} is no such proxy ({error or type(error).__name__}):"
            f" {address.url} was not reached. Check the proxy's address."
        ) from error
    stream: LowerStream = found.stream
    return stream


class _ToProxy:
    """Connects to the proxy itself, in place of another one before it."""

    def __init__(self, proxy: Proxy, bind_address: str | None) -> None:
        self._proxy = proxy
        self._bind_address = bind_address

    async def connect(self, dest_host: str, dest_port: int) -> _Conversation:
        """A stream to the proxy as the library uses it."""
        proxy = self._proxy
        address = Address(proxy.scheme, dest_host, dest_port)
        try:
            stream = await connect_tcp(address, self._bind_address)
        except NoOriginError:
            raise  # which is not the proxy's fault
        except ConnectionFailedError as error:
            cause = error.__cause__
            reason = getattr(cause, "strerror", None) or str(cause)
            raise ConnectionFailedError(
                f"The proxy {proxy.url} cannot be reached ({reason.lower()}). Check its address,"
                " and whether it is running."
            ) from error
        return _Conversation(stream, address, proxy)


class _Conversation:
    """What the library says to a proxy, and hears, until the stream is the broker's."""

    def __init__(self, stream: LowerStream, address: Address, proxy: Proxy) -> None:
        self.stream = stream
        self._address = address
        self._proxy = proxy

    async def write(self, data: bytes) -> None:
        """Send all of it."""
        await self.stream.send(data)

    async def read(self, max_bytes: int = _MAX_ANSWER) -> bytes:
        """The whole answer of HTTP, in however many pieces it comes."""
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += await self.stream.receive(_READ_SIZE)
            if len(answer) > max_bytes or not b"HTTP/".startswith(answer[:5]):
                break
        return answer

    async def read_exactly(self, count: int) -> bytes:
        """So many bytes of SOCKS, and none of what follows."""
        answer = b""
        while len(answer) < count:
            answer += await self.stream.receive(count - len(answer))
        return answer

    async def start_tls(self, hostname: str, ssl_context: ssl.SSLContext) -> _Conversation:
        """The same within TLS, to a proxy that wants that."""
        from trio_mqtt.transport.connectors.tls_stream import open_tls

        stream = await open_tls(self.stream, self._address, ssl_context, server_name=hostname)
        return _Conversation(stream, self._address, self._proxy)

    async def close(self) -> None:
        """It came to nothing."""
        await anyio.aclose_forcefully(self.stream)


def _refused(
    proxy: Proxy, address: Address, error: Exception, code: int | None
) -> ConnectionFailedError:
    said = str(error).rstrip(".")
    words = said.lower()
    advice = "Check the broker's address, and what the proxy allows."
    if code == 407 or "auth" in words or "username" in words:
        place = f"{proxy.scheme}://NAME:PASSWORD@HOST"
        advice = f"Check the user name and the password of the proxy: {place}."
    return ConnectionFailedError(
        f"The proxy {proxy.url} did not connect to {address.url} ({said}). {advice}"
    )


def _closed(proxy: Proxy, address: Address) -> ConnectionFailedError:
    return ConnectionFailedError(
        f"The proxy {proxy.url} closed the connection before it led to {address.url}. Check that it"
        f" speaks {proxy.kind}, and what it allows."
    )
