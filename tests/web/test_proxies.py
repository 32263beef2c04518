"""Who asks through a proxy that is trusted is whom it names; and no HTTP/2 is spoken."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import trio

from tests.web.conftest import OPTIONS, PASSWORD, Served, served_with
from tests.web.test_hostile_connections import connected, is_answered, until_it_ends
from trio_mqtt import ConfigurationError
from trio_mqtt.web import WebOptions

FEW = replace(OPTIONS, failed_logins_per_minute=2)
TRUSTING = replace(FEW, trusted_proxies=["127.0.0.0/8"])


async def log_in(
    client: httpx.AsyncClient, user: str, password: str, **headers: str
) -> httpx.Response:
    return await client.post(
        "/login",
        json={"user": user, "password": password},
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


@pytest.mark.parametrize("is_trusted", [True, False])
async def test_wrong_passwords_hold_up_who_shows_them(
    short_path: Path, caplog: pytest.LogCaptureFixture, is_trusted: bool
) -> None:
    caplog.set_level(logging.INFO, "trio_mqtt.audit")
    async with (
        served_with(TRUSTING if is_trusted else FEW, short_path) as served,
        served.asking(None) as client,
    ):
        for name in ("x", "y", "z"):
            # What stands before the last is an invention.
            seen = "192.0.2.7, 198.51.100.9"
            refused = await log_in(client, name, "wrong", x_forwarded_for=seen)
        assert refused.status_code == 429
        others = await log_in(client, "ada", PASSWORD, x_forwarded_for="192.0.2.7")
        assert others.status_code == (200 if is_trusted else 429)
    told = caplog.records[0].getMessage()
    assert ("at 198.51.100.9" if is_trusted else "at 127.0.0.1:") in told


async def test_a_network_of_ipv6_is_one_that_shows_wrong_passwords(short_path: Path) -> None:
    async with served_with(TRUSTING, short_path) as served, served.asking(None) as client:
        for number in range(3):
            guesser = f"2001:db8::{number}"
            refused = await log_in(client, f"user-{number}", "wrong", x_forwarded_for=guesser)
        assert refused.status_code == 429
        other = await log_in(client, "ada", PASSWORD, x_forwarded_for="2001:db8:0:1::1")
        assert other.status_code == 200


@pytest.mark.parametrize(
    ("options", "said", "is_secure"),
    [(TRUSTING, "https", True), (TRUSTING, "http", False), (FEW, "https", False)],
    ids=["https", "http", "not trusted"],
)
async def test_a_cookie_of_https_goes_by_that_alone(
    short_path: Path, options: WebOptions, said: str, is_secure: bool
) -> None:
    async with served_with(options, short_path) as served, served.asking(None) as client:
        answer = await log_in(client, "ada", PASSWORD, x_forwarded_proto=said)
    assert ("secure" in answer.headers["set-cookie"].lower()) is is_secure


@pytest.mark.parametrize("proxies", ["10.0.0.0/8", ["10.0.0.300"], ["unix"]])
def test_proxies_are_networks(proxies: list[str]) -> None:
    with pytest.raises(ConfigurationError):
        WebOptions(trusted_proxies=proxies)


# What begins HTTP/2 in the clear: its preface, settings, and a request for /.
PRIOR_KNOWLEDGE = (
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
    b"\x00\x00\x06\x01\x05\x00\x00\x00\x01\x82\x86\x84\x41\x01a"
)
UPGRADE = (
    b"GET /healthz HTTP/1.1\r\nHost: b\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    b"HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
)


@pytest.mark.parametrize("asked", [UPGRADE, PRIOR_KNOWLEDGE], ids=["upgrade", "prior knowledge"])
async def test_no_http_2_is_spoken(served: Served, asked: bytes) -> None:
    async with connected(served) as stream:
        await stream.send_all(asked)
        found = await until_it_ends(stream)
    assert b"HTTP/1.1 is spoken here, and no HTTP/2." in found
    assert await is_answered(served)


async def test_no_frame_of_http_2_is_heard_after_its_beginning(served: Served) -> None:
    async with connected(served) as stream:
        await stream.send_all(PRIOR_KNOWLEDGE[:33])  # preface and settings, and no request
        found = await stream.receive_some()  # it has gone over
        await stream.send_all(b"\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678")  # PING
        with trio.fail_after(60):
            found += await until_it_ends(stream)
    assert b"12345678" not in found
    assert await is_answered(served)


@pytest.mark.parametrize("path", ["/trace?client_id=c", "/events"])
async def test_the_head_of_a_stream_has_an_end(served: Served, path: str) -> None:
    async with served.asking("see") as client:
        with trio.fail_after(60):
            answer = await client.head(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
