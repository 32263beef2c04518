"""`tmqtt check` shows what a broker can do, a row for each thing."""

from __future__ import annotations

import json
import re
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import trio
import trustme
from tmqtt.check import probes
from tmqtt.check.command import check
from tmqtt.check.findings import LIMITED, OK, WRONG, Finding, lines_of
from tmqtt.check.probes import Target, retained
from tmqtt.check.tls import check_tls
from tmqtt.connecting.settings import ConnectionOptions
from tmqtt.terminal.looks import plain
from tmqtt.terminal.sentences import CommandError
from tmqtt.terminal.terminal import Terminal
from trio.testing import MockClock

import trio_mqtt
from tests.cli.programs import Program, screen
from tests.client.fake_broker import FakeBroker, Peer
from trio_mqtt.protocol.packets import SubAck, Subscribe

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("columns", [40, 80])
def test_our_broker_can_do_everything(in_pipe: tuple[Program, str], columns: int) -> None:
    _, url = in_pipe
    with Program("check", url, terminal=True, columns=columns) as check:
        assert check.ended() == 0
        text = check.out.text
        lines = screen(check.out.data, columns)
    for name in ("MQTT 3.1", "MQTT 3.1.1", "MQTT 5", "QoS 2", "Retained messages", "Topic length"):
        assert re.search(rf"^OK +{re.escape(name)}( |$)", text, re.MULTILINE), name
    (levels,) = re.findall(r"^limited +Topic levels\s+([^;]+); more:", text, re.MULTILINE)
    assert levels == "128 levels"
    assert not re.search(r"^(absent|wrong)", text, re.MULTILINE)
    assert all(len(line) < columns for line in lines)  # none was wrapped by the terminal


@pytest.mark.trio
async def test_what_is_found_is_json_as_well_and_nothing_is_left_behind() -> None:
    async with trio_mqtt.open_broker("mqtt://127.0.0.1:0") as broker:
        with Program("check", broker.url, "--json") as check:
            assert await trio.to_thread.run_sync(check.ended) == 0
            found = json.loads(check.out.text)
        async with (
            trio_mqtt.open_client(broker.url) as client,
            client.subscribe("tmqtt-check/#", "next") as messages,
        ):
            await client.publish("next")
            assert (await anext(messages)).topic == "next"  # nothing was retained
    assert found["broker"] == broker.url
    assert {"group", "name", "status", "detail"} == set(found["checks"][0])


@pytest.mark.trio
async def test_what_a_broker_has_not_is_absent() -> None:
    options = trio_mqtt.BrokerOptions(retain_available=False, shared_subscription_available=False)
    async with trio_mqtt.open_broker("mqtt://127.0.0.1:0", options=options) as broker:
        with Program("check", broker.url) as check:
            assert await trio.to_thread.run_sync(check.ended) == 0
            text = check.out.text
    assert len(re.findall(r"^absent +(Retained|Shared)", text, re.MULTILINE)) == 4


@pytest.mark.trio
async def test_a_retained_message_may_come_behind_what_is_new() -> None:
    broker = FakeBroker()

    def granted(peer: Peer, packet: Subscribe) -> None:
        topic = packet.subscriptions[0].topic_filter
        peer.send(SubAck(packet.packet_id, [trio_mqtt.ReasonCode.SUCCESS]))
        peer.publish(topic, b"kept")
        peer.publish(topic, b"kept", retain=True)

    broker.answers[Subscribe] = granted
    target = Target("mqtt://fake", {"connector": broker.connect})
    (found,) = await retained(target)
    assert found.status == OK


def test_what_the_client_may_not_do_is_absent_and_not_wrong(tmp_path: Path) -> None:
    access = tmp_path / "access.conf"
    access.write_text("topic read nothing\n")
    with Program("broker", "mqtt://127.0.0.1:0", "--access-file", str(access)) as broker:
        url = broker.out.expect(r"Listening at (\S+)\n")[1]
        with Program("check", url) as check:
            assert check.ended() == 0
        assert broker.stop() == 0
    assert re.search(r"^absent +Topic length +refused: not authorized", check.out.text, re.M)
    assert not re.search(r"^wrong", check.out.text, re.M)


def test_no_broker_is_an_error() -> None:
    with Program("check", "mqtt://127.0.0.1:1") as check:
        assert check.ended() == 1
        assert check.err.text.startswith("Error: Nothing answers at mqtt://127.0.0.1:1")
    assert check.out.text == ""  # and not the same in a row for each version


def _authority() -> tuple[trustme.CA, trustme.LeafCert]:
    authority = trustme.CA()
    return authority, authority.issue_cert("localhost", "127.0.0.1")


async def _tls_findings(
    certificate: trustme.LeafCert, tls: dict[str, object] | None
) -> dict[str, Finding]:
    """What is found at a server that only shakes hands."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)

    async def greet(stream: trio.SSLStream[trio.SocketStream]) -> None:
        try:
            await stream.receive_some()
        except trio.BrokenResourceError:
            await stream.aclose()

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_ssl_over_tcp_listeners(0, context, host="127.0.0.1")
        inner = listener.transport_listener
        assert isinstance(inner, trio.SocketListener)
        port = inner.socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, greet, [listener])
        options = ConnectionOptions(broker=f"mqtts://127.0.0.1:{port}", tls=tls)
        findings = {finding.name: finding for finding in await check_tls(options)}
        nursery.cancel_scope.cancel()
    return findings


@pytest.mark.trio
async def test_tls_is_told_of_a_certificate_that_is_trusted(tmp_path: Path) -> None:
    authority, certificate = _authority()
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    findings = await _tls_findings(certificate, {"ca": str(file)})
    assert findings["Certificate trusted"].status == OK
    assert findings["Version"].detail == "TLSv1.3"
    assert "bits" in findings["Cipher"].detail
    assert findings["Certificate for"].detail == "localhost, 127.0.0.1"
    assert findings["Valid until"].status == OK


@pytest.mark.trio
async def test_a_certificate_that_is_not_trusted_is_wrong_and_told_all_the_same() -> None:
    _, certificate = _authority()
    findings = await _tls_findings(certificate, None)
    assert findings["Certificate trusted"].status == WRONG
    assert findings["Certificate for"].detail == "localhost, 127.0.0.1"


@pytest.mark.trio
async def test_a_certificate_that_ends_soon_is_limited(tmp_path: Path) -> None:
    authority = trustme.CA()
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    soon = datetime.now(UTC) + timedelta(days=3)
    certificate = authority.issue_cert("127.0.0.1", not_after=soon)
    findings = await _tls_findings(certificate, {"ca": str(file)})
    assert findings["Valid until"].status == LIMITED


@pytest.mark.trio
async def test_without_tls_there_are_no_rows_about_it() -> None:
    assert await check_tls(ConnectionOptions(broker="mqtt://localhost")) == []


def test_a_row_fits_the_terminal_and_cannot_steer_it() -> None:
    finding = Finding("g", "Payload", WRONG, "\x1b[2J " + "many words " * 10)
    for width in (40, 80, 200):
        lines = [plain(line) for line in lines_of(finding, width)]
        assert all(len(line) < width for line in lines)
        assert "\\x1b[2J" in " ".join(lines)


@pytest.mark.trio
async def test_a_broker_that_answers_nothing_is_given_up(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """Each check has its bound, and so have all of them."""

    async def versions(target: Target) -> list[Finding]:
        target.best = trio_mqtt.ProtocolVersion.V5
        return []

    async def never(_target: Target) -> list[Finding]:
        await trio.sleep(1_000)
        return []

    monkeypatch.setattr(probes, "versions", versions)
    monkeypatch.setattr(probes, "ALL", [probes.Probe(f"No. {n}", never) for n in range(14)])
    shown: list[str] = []
    output = SimpleNamespace(is_terminal=False, line=shown.append, put=shown.append)
    with pytest.raises(CommandError, match="14 of 14 rows are wrong"):
        await check(ConnectionOptions(), cast(Terminal, SimpleNamespace(output=output)), json=False)
    assert trio.current_time() == 45.0
    assert "nothing came within 5 s" in str(shown[9])
    assert "No. 9" in str(shown[10])
    assert "not tried: the others took 40 s" in str(shown[-1])
