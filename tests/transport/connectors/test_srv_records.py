"""Servers that the SRV records of a domain name, asked of a real server of names."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import dns.message
import dns.rcode
import dns.resolver
import dns.rrset
import pytest

from tests.ports import free_port
from tests.transport.connectors.serving import running, server_context
from trio_mqtt import (
    ConnectionFailedError,
    InvalidUrlError,
    TlsError,
    TlsOptions,
    open_client,
    publish_once,
)
from trio_mqtt.transport.connectors.srv_records import name_to_certify, servers_of
from trio_mqtt.transport.urls import Address, parse_url

pytestmark = pytest.mark.anyio


class Names:
    """Answers queries for SRV records by UDP; `records` are the texts of each name."""

    def __init__(self) -> None:
        self.records: dict[str, list[str]] = {}
        self.asked: list[str] = []
        self.refuses = False
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self.socket.getsockname())
        self._thread.join()
        self.socket.close()

    def _serve(self) -> None:
        while True:
            data, asker = self.socket.recvfrom(65_535)
            if not data:
                return
            query = dns.message.from_wire(data)
            answer = dns.message.make_response(query)
            name = query.question[0].name.to_text(omit_final_dot=True)
            self.asked.append(name)
            texts = self.records.get(name)
            if self.refuses:
                answer.set_rcode(dns.rcode.SERVFAIL)
            elif texts is None:
                answer.set_rcode(dns.rcode.NXDOMAIN)
            else:
                answer.answer.append(
                    dns.rrset.from_text(query.question[0].name, 1, "IN", "SRV", *texts)
                )
            self.socket.sendto(answer.to_wire(), asker)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    with closing(Names()) as names:

        def resolver() -> dns.resolver.Resolver:
            found = real(configure=False)
            found.nameservers = ["127.0.0.1"]
            found.port = names.socket.getsockname()[1]
            found.lifetime = 60.0
            return found

        real = dns.resolver.Resolver
        monkeypatch.setattr(dns.resolver, "Resolver", resolver)
        yield names


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


async def test_the_server_is_where_the_records_say(names: Names, tmp_path: Path) -> None:
    async with running("mqtt", tmp_path) as server:
        down = free_port()
        names.records["_mqtt._tcp.example.org"] = [
            f"20 0 {port_of(server.url)} localhost.",
            f"10 0 {down} localhost.",
        ]
        async with open_client("mqtt+srv://u:p@example.org?clientId=me") as client:
            assert client.url == server.url
            assert client.client_id == "me"
            await client.publish("t", qos=1)
    assert names.asked == ["_mqtt._tcp.example.org"]


async def test_they_are_asked_anew_at_each_attempt(names: Names, tmp_path: Path) -> None:
    async with running("mqtt", tmp_path) as first, running("mqtt", tmp_path) as second:
        name = "_mqtt._tcp.example.org"
        names.records[name] = [f"10 0 {port_of(first.url)} localhost."]
        async with open_client("mqtt+srv://example.org") as client:
            assert client.url == first.url
            names.records[name] = [f"10 0 {port_of(second.url)} localhost."]
            with client.events() as events:
                await client._session.connection._stream.aclose()  # type: ignore[union-attr]
                async for event in events:
                    if getattr(event, "url", None) == second.url:
                        break
    assert names.asked == [name, name]


@pytest.mark.parametrize(
    ("host", "accepted"), [("a.example.org", True), ("example.org", True), ("b.org", False)]
)
async def test_a_certificate_is_for_the_domain_or_for_what_lies_within(
    names: Names, tls: TlsOptions, tmp_path: Path, host: str, accepted: bool
) -> None:
    address = Address("mqtts", host, 1, domain="example.org")
    assert name_to_certify(address) == (host if accepted else "example.org")


async def test_the_certificate_of_a_server_elsewhere_is_not_believed(
    names: Names, tls: TlsOptions, tmp_path: Path
) -> None:
    async with running("mqtts", tmp_path, server_context()) as server:
        record = f"10 0 {port_of(server.url)} localhost."
        names.records["_secure-mqtt._tcp.example.org"] = [record]
        names.records["_secure-mqtt._tcp.localhost"] = [record]
        with pytest.raises(TlsError, match="certificate"):
            async with open_client("mqtts+srv://example.org", tls=tls):
                pytest.fail("its certificate is for localhost")
        async with open_client("mqtts+srv://localhost", tls=tls) as client:
            await client.publish("t", qos=1)
        named = TlsOptions(ca=tls.ca, server_name="localhost")
        async with open_client("mqtts+srv://example.org", tls=named) as client:
            await client.publish("t", qos=1)


@pytest.mark.parametrize(
    ("records", "text"),
    [
        (None, r"example\.org names no servers: there are no SRV records _mqtt\._tcp"),
        (["0 0 0 ."], r"example\.org has no such servers"),
    ],
)
async def test_a_domain_without_servers_is_told(
    names: Names, records: list[str] | None, text: str
) -> None:
    if records is not None:
        names.records["_mqtt._tcp.example.org"] = records
    with pytest.raises(ConnectionFailedError, match=text):
        async with open_client("mqtt+srv://example.org"):
            pytest.fail("there is none")


async def test_names_that_cannot_be_looked_up_are_told(names: Names, tmp_path: Path) -> None:
    names.refuses = True
    with pytest.raises(ConnectionFailedError, match="cannot be looked up"):
        async with open_client("mqtt+srv://example.org"):
            pytest.fail("nobody says where")
    async with (
        running("mqtt", tmp_path) as server,
        open_client(["mqtt+srv://example.org", server.url]) as client,
    ):
        assert client.url == server.url


async def test_they_come_by_priority(names: Names) -> None:
    names.records["_mqtt._tcp.example.org"] = ["3 0 1 c.", "1 0 1 A.example.org.", "2 0 1 b."]
    found = await servers_of(parse_url("mqtt+srv://example.org"))
    assert [one.host for one in found] == ["a.example.org", "b", "c"]


async def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dns.resolver", None)
    with pytest.raises(ImportError, match=r"trio-mqtt\[srv\].* install "):
        async with open_client("mqtt+srv://example.org"):
            pytest.fail("nothing can be asked")


def test_what_such_a_url_may_not_have_is_refused() -> None:
    with pytest.raises(InvalidUrlError, match="its SRV records say"):
        parse_url("mqtt+srv://example.org:1883")
    with pytest.raises(ValueError, match="its SRV records say"):
        publish_once("mqtt+srv://example.org:1883", "t")
    assert parse_url("mqtts+srv://u:p@example.org").url == "mqtts+srv://example.org"
