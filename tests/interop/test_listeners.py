"""Every listener of our broker with foreign clients: TLS, WebSocket, Unix, one port for all."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import paho.mqtt.client as paho
import pytest
from anyio.from_thread import BlockingPortal
from paho.mqtt.enums import CallbackAPIVersion

import trio_mqtt
from tests.transport.dialing import Certificates

from .node import node_command
from .test_mosquitto_clients import program

DEADLINE = 120.0
MIB = 1024 * 1024


@dataclass(frozen=True)
class Served:
    """Where the broker listens, by what is spoken there."""

    urls: dict[str, str]
    certificates: Certificates

    def port(self, name: str) -> int:
        return urlsplit(self.urls[name]).port or 0

    def path(self) -> str:
        return urlsplit(self.urls["unix"]).path


@pytest.fixture(scope="module")
def served(
    trio_portal: BlockingPortal, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("listeners")
    certificates = Certificates(folder)
    tls = trio_mqtt.ServerTls(certificates.server())
    mutual = trio_mqtt.ServerTls(certificates.server(), ca=certificates.ca_file)
    listeners = {
        "mqtts": trio_mqtt.Listen("mqtts://127.0.0.1:0", tls=tls),
        "ws": trio_mqtt.Listen("ws://127.0.0.1:0"),
        "wss": trio_mqtt.Listen("wss://127.0.0.1:0", tls=tls),
        "any": trio_mqtt.Listen("any://127.0.0.1:0", tls=tls),
        "mutual": trio_mqtt.Listen("mqtts://127.0.0.1:0", tls=mutual),
        "mutual-wss": trio_mqtt.Listen("wss://127.0.0.1:0", tls=mutual),
        "unix": trio_mqtt.Listen(f"unix://{folder}/mqtt.sock"),
    }
    opening = trio_mqtt.open_broker(*listeners.values())
    with trio_portal.wrap_async_context_manager(opening) as broker:
        yield Served(dict(zip(listeners, broker.urls, strict=True)), certificates)


def client_file(served: Served, shown: str) -> str | None:
    certificates = served.certificates
    if shown == "none":
        return None
    return certificates.client("sensor", ours=shown != "foreign", expired=shown == "expired")


# -- mosquitto_pub and mosquitto_sub --------------------------------------------------------------


def mosquitto_pub(arguments: list[str]) -> int:
    return subprocess.run(
        [
            program("mosquitto_pub"),
            "-t",
            "listeners/m",
            "-m",
            "hello",
            "-q",
            "1",
            "-i",
            "m",
            *arguments,
        ],
        check=False,
        capture_output=True,
        timeout=DEADLINE,
    ).returncode


def mosquitto_round_trip(arguments: list[str]) -> str:
    """A retained message, published and taken by the two commands."""
    assert mosquitto_pub(["-r", *arguments]) == 0
    taken = subprocess.run(
        [program("mosquitto_sub"), "-t", "listeners/m", "-C", "1", *arguments],
        check=True,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    return taken.stdout


@pytest.mark.parametrize("listener", ["mqtts", "any"])
def test_mosquittos_commands_come_in_by_tls(served: Served, listener: str) -> None:
    arguments = ["-h", "127.0.0.1", "-p", str(served.port(listener)), "--cafile",
                 served.certificates.ca_file]  # fmt: skip
    assert mosquitto_round_trip(arguments) == "hello\n"


def test_mosquittos_commands_come_in_by_a_unix_socket(served: Served) -> None:
    assert mosquitto_round_trip(["--unix", served.path()]) == "hello\n"


@pytest.mark.parametrize("shown", ["right", "foreign", "expired", "none"])
def test_mosquitto_pub_comes_in_by_a_right_certificate_only(served: Served, shown: str) -> None:
    file = client_file(served, shown)
    arguments = ["-h", "127.0.0.1", "-p", str(served.port("mutual")), "--cafile",
                 served.certificates.ca_file]  # fmt: skip
    if file is not None:
        arguments += ["--cert", file, "--key", file]
    assert (mosquitto_pub(arguments) == 0) == (shown == "right")


# -- paho-mqtt ------------------------------------------------------------------------------------


def paho_round_trip(client: paho.Client, host: str, port: int) -> int:
    """The size of a message that came back."""
    came: list[int] = []
    done = threading.Event()

    def on_message(_client: paho.Client, _userdata: object, message: paho.MQTTMessage) -> None:
        came.append(len(message.payload))
        done.set()

    ready = threading.Event()
    client.on_message = on_message
    client.on_subscribe = lambda *_: ready.set()
    client.connect(host, port)
    client.subscribe("listeners/paho", 1)
    client.loop_start()
    try:
        assert ready.wait(DEADLINE)
        client.publish("listeners/paho", b"x" * MIB, 1)
        assert done.wait(DEADLINE)
    finally:
        client.disconnect()
        client.loop_stop()
    return came[0]


@pytest.mark.parametrize(
    ("listener", "tls", "websocket"),
    [
        ("mqtts", True, False),
        ("ws", False, True),
        ("wss", True, True),
        ("any", False, False),
        ("any", True, False),
        ("any", False, True),
        ("any", True, True),
    ],
)
def test_paho_comes_in_by_every_listener(
    served: Served, listener: str, tls: bool, websocket: bool
) -> None:
    client = paho.Client(
        CallbackAPIVersion.VERSION2, transport="websockets" if websocket else "tcp"
    )
    if tls:
        client.tls_set(served.certificates.ca_file)
    assert paho_round_trip(client, "127.0.0.1", served.port(listener)) == MIB


def test_paho_comes_in_by_a_unix_socket(served: Served) -> None:
    client = paho.Client(CallbackAPIVersion.VERSION2, transport="unix")
    assert paho_round_trip(client, served.path(), 1) == MIB


def test_paho_comes_in_by_websocket_with_a_right_certificate(served: Served) -> None:
    client = paho.Client(CallbackAPIVersion.VERSION2, transport="websockets")
    file = client_file(served, "right")
    client.tls_set(served.certificates.ca_file, file, file)
    assert paho_round_trip(client, "127.0.0.1", served.port("mutual-wss")) == MIB


# -- MQTT.js --------------------------------------------------------------------------------------


def mqttjs(served: Served, url: str, file: str | None = None) -> subprocess.CompletedProcess[str]:
    arguments = [url, served.certificates.ca_file, *([] if file is None else [file])]
    return subprocess.run(
        [*node_command("listeners.mjs"), *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )


@pytest.mark.parametrize(
    ("listener", "scheme"),
    [("mqtts", "mqtts"), ("ws", "ws"), ("wss", "wss"), ("any", "mqtt"), ("any", "wss")],
)
def test_mqttjs_comes_in_by_every_listener(served: Served, listener: str, scheme: str) -> None:
    path = "/mqtt" if scheme.startswith("ws") else ""
    done = mqttjs(served, f"{scheme}://127.0.0.1:{served.port(listener)}{path}")
    assert done.stdout == f"{MIB}\n", done.stderr


@pytest.mark.parametrize("shown", ["right", "foreign", "expired", "none"])
def test_mqttjs_comes_in_by_a_right_certificate_only(served: Served, shown: str) -> None:
    done = mqttjs(served, served.urls["mutual-wss"], client_file(served, shown))
    assert (done.returncode == 0) == (shown == "right"), done.stderr
