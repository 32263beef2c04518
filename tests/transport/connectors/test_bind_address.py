"""Connections from an address of this machine that the program chooses."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from tests.transport.connectors.serving import only, running
from tests.transport.connectors.test_proxies import proxied
from trio_mqtt import ConnectionFailedError, TlsOptions, open_client
from trio_mqtt.transport.connectors.socket_failures import (
    CannotBindError,
    NoOriginError,
    unreachable,
)
from trio_mqtt.transport.urls import parse_url

pytestmark = pytest.mark.anyio

HERE = "127.0.0.9"


@pytest.mark.parametrize("scheme", ["mqtt", "mqtts", "ws", "wss"])
async def test_the_server_sees_it_come_from_there(
    scheme: str, tls: TlsOptions, tmp_path: Path
) -> None:
    async with running(scheme, tmp_path) as server:
        async with open_client(server.url, tls=only(scheme, tls), bind_address=HERE) as client:
            await client.publish("t", qos=1)
        async with open_client(server.url, tls=only(scheme, tls)) as client:
            await client.publish("t", qos=1)
    assert server.hosts == [HERE, "127.0.0.1"]


async def test_so_does_a_proxy(tmp_path: Path) -> None:
    async with running("mqtt", tmp_path) as server, proxied() as (proxy, place):
        async with open_client(server.url, proxy=f"socks5://{place}", bind_address=HERE) as client:
            await client.publish("t", qos=1)
        assert proxy.hosts == [HERE]


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("192.0.2.1", r"from 192\.0\.2\.1 \(.*\)\. Is that an address of this machine"),
        ("::1", "cannot be reached from ::1: one of them is an address of IPv4"),
        ("a..b", r"'a\.\.b', from where to connect to \w+://127.0.0.1:\d+, cannot be found"),
    ],
)
@pytest.mark.parametrize("proxy", [False, "socks5://127.0.0.1:1080"], ids=["direct", "by a proxy"])
async def test_what_cannot_be_bound_is_told(address: str, text: str, proxy: str | bool) -> None:
    with pytest.raises(ConnectionFailedError, match=text):
        async with open_client("mqtt://127.0.0.1", bind_address=address, proxy=proxy):
            pytest.fail("there is no way from there")


@pytest.mark.parametrize(
    ("url", "address", "kind", "text"),
    [
        ("unix:///run/x", HERE, ValueError, "without an address to connect from"),
        ("mqtt://localhost", "", ValueError, "bind_address is empty"),
        ("mqtt://localhost", 7, TypeError, "bind_address is str or None, not int"),
    ],
)
async def test_what_can_be_none_is_refused(
    url: str,
    address: Any,  # noqa: ANN401 # what it should not be
    kind: type[Exception],
    text: str,
) -> None:
    with pytest.raises(kind, match=text):
        async with open_client(url, bind_address=address):
            pytest.fail("it cannot be")


def test_where_one_family_cannot_be_bound_the_other_tells_what_is_wrong() -> None:
    """As `localhost` has it on a machine without IPv6."""
    unbound = CannotBindError(errno.EADDRNOTAVAIL, "Cannot assign requested address", "::1")
    refused = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
    error = unreachable(parse_url("mqtt://localhost"), [unbound, refused])
    assert not isinstance(error, NoOriginError)
    assert "connection refused" in str(error)
    assert error.__cause__ is refused
    assert isinstance(unreachable(parse_url("mqtt://localhost"), [unbound]), NoOriginError)
