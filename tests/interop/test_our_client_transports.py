"""Our client, on both backends, against Mosquitto behind TLS, WebSocket and a Unix socket."""

from __future__ import annotations

import os
import shutil
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

import trio_mqtt
from tests.ports import free_port
from trio_mqtt import TlsOptions

from .peers import DEADLINE, LineProcess

pytestmark = pytest.mark.anyio

CONFIGURATION = """\
allow_anonymous true
persistence false
max_queued_messages 0
log_type error
log_type warning

listener {mqtts} 127.0.0.1
certfile {folder}/server.pem
keyfile {folder}/server.key

listener {demanding} 127.0.0.1
certfile {folder}/server.pem
keyfile {folder}/server.key
cafile {folder}/ca.pem
require_certificate true

listener {ws} 127.0.0.1
protocol websockets

listener {wss} 127.0.0.1
protocol websockets
certfile {folder}/server.pem
keyfile {folder}/server.key

listener 0 {folder}/mqtt.sock
"""
PORTS = ("mqtts", "demanding", "ws", "wss")


@dataclass
class Mosquitto:
    """Where it listens, and the files that its clients may need."""

    folder: Path
    ports: dict[str, int]

    def url(self, scheme: str) -> str:
        if scheme == "unix":
            return f"unix://{self.folder}/mqtt.sock"
        return f"{scheme}://localhost:{self.ports[scheme]}"

    def tls(self, scheme: str) -> TlsOptions | None:
        return TlsOptions(ca=self.folder / "ca.pem") if scheme in ("mqtts", "wss") else None


@pytest.fixture(scope="module")
def mosquitto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    folder = tmp_path_factory.mktemp("mosquitto-transports")
    # It gives up root's rights where it has them, and reads these files after that.
    folder.chmod(0o777)
    for parent in folder.parents:
        if parent.owner() == folder.owner() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o011)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    server = authority.issue_cert("localhost")
    server.private_key_pem.write_to_path(folder / "server.key")
    server.cert_chain_pems[0].write_to_path(folder / "server.pem")
    client = authority.issue_cert("client@example.org")
    client.private_key_and_cert_chain_pem.write_to_path(folder / "client.pem")
    for path in folder.iterdir():
        path.chmod(0o644)
    search = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])
    program = shutil.which("mosquitto", path=search)
    if program is None:
        raise FileNotFoundError("Mosquitto is not installed: apt-get install mosquitto.")
    lines: list[str] = []
    ports = {name: free_port() for name in PORTS}
    configuration = folder / "mosquitto.conf"
    configuration.write_text(CONFIGURATION.format(folder=folder, **ports))
    process = LineProcess([program, "-c", str(configuration)], lines.append)
    try:
        deadline = time.monotonic() + DEADLINE
        while not (folder / "mqtt.sock").exists():
            if time.monotonic() > deadline or process.process.poll() is not None:
                raise TimeoutError("Mosquitto did not start: " + "; ".join(lines))
            time.sleep(0.02)
        yield Mosquitto(folder, ports)
    finally:
        process.end()


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("scheme", ["mqtts", "ws", "wss", "unix"])
async def test_messages_travel_both_ways(mosquitto: Mosquitto, topic: str, scheme: str) -> None:
    # (Mosquitto 2.0 does not get a mebibyte through its WebSocket, to no client.)
    payloads = [b"", b"x", os.urandom(60_000), *(b"%d" % number for number in range(100))]
    async with (
        trio_mqtt.open_client(mosquitto.url(scheme), tls=mosquitto.tls(scheme)) as client,
        client.subscribe(topic, qos=2) as messages,
    ):
        for number, payload in enumerate(payloads):
            await client.publish(topic, payload, qos=number % 3)
        assert [(await anext(messages)).payload for _ in payloads] == payloads


async def test_a_client_certificate_is_shown_where_it_is_demanded(
    mosquitto: Mosquitto, topic: str
) -> None:
    url = f"mqtts://localhost:{mosquitto.ports['demanding']}"
    ca = mosquitto.folder / "ca.pem"
    with pytest.raises(trio_mqtt.TlsError, match="demands a certificate of the client"):
        async with trio_mqtt.open_client(url, tls=TlsOptions(ca=ca)):
            pytest.fail("it demands a certificate")
    tls = TlsOptions(ca=ca, certificate=mosquitto.folder / "client.pem")
    async with trio_mqtt.open_client(url, tls=tls) as client:
        await client.publish(topic, qos=1)


async def test_mistakes_are_told(mosquitto: Mosquitto) -> None:
    default = ssl.create_default_context()
    for url, tls, words in [
        (mosquitto.url("mqtts"), default, "unknown authority"),
        (mosquitto.url("ws").replace("ws:", "mqtts:"), None, "No TLS connection"),
        (mosquitto.url("mqtts").replace("mqtts:", "ws:"), None, "WebSocket"),
        (
            mosquitto.url("mqtts").replace("localhost", "127.0.0.1"),
            TlsOptions(ca=mosquitto.folder / "ca.pem"),
            "for another host",
        ),
    ]:
        with pytest.raises(trio_mqtt.ConnectionFailedError, match=words):
            async with trio_mqtt.open_client(url, tls=tls, connect_timeout=5):
                pytest.fail("that is a mistake")
