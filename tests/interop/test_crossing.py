"""Every listener crossed with every credential, foreign clients and ours; certificates; tokens."""

from __future__ import annotations

import json
import queue
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import anyio
import jwt
import paho.mqtt.client as mqtt
import pytest
from anyio.from_thread import BlockingPortal
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

import trio_mqtt
from tests.transport.dialing import Certificates
from trio_mqtt.broker.access.files.password_changes import set_password

from .node import PACKAGES, node_command
from .peers import DEADLINE, get
from .test_mosquitto_clients import program

SECRET = b"a secret of more than thirty-two bytes, for HS256"
CREDENTIALS = {
    "right": ("alice", "right"),
    "wrong": ("alice", "wrong"),
    "missing": (None, None),
}


TRANSPORTS: dict[str, Literal["unix", "websockets"]] = {
    "unix": "unix",
    "ws": "websockets",
    "wss": "websockets",
}


class Served:
    """A broker with a listener of every kind that asks for passwords, and two for certificates."""

    def __init__(self, urls: dict[str, str], certificates: Certificates) -> None:
        self.urls = urls
        self.certificates = certificates

    def url(self, listener: str, scheme: str) -> str:
        """Where a client connects that speaks `scheme` at a listener."""
        if scheme == "unix":
            return self.urls[listener]
        path = "/mqtt" if scheme in ("ws", "wss") else ""
        return f"{scheme}://127.0.0.1:{urlsplit(self.urls[listener]).port}{path}"


@pytest.fixture(scope="module")
def served(
    trio_portal: BlockingPortal, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("crossing")
    certificates = Certificates(folder)
    set_password(folder / "users", "alice", b"right", create=True)
    tls = trio_mqtt.ServerTls(certificates.server())
    mutual = trio_mqtt.ServerTls(certificates.server(), ca=certificates.ca_file)
    listeners = {
        "mqtts": trio_mqtt.Listen("mqtts://127.0.0.1:0", tls=tls),
        "wss": trio_mqtt.Listen("wss://127.0.0.1:0", tls=tls),
        "unix": trio_mqtt.Listen(f"unix://{folder}/mqtt.sock"),
        "any": trio_mqtt.Listen("any://127.0.0.1:0", tls=tls),
        "mutual-mqtts": trio_mqtt.Listen("mqtts://127.0.0.1:0", tls=mutual),
        "mutual-wss": trio_mqtt.Listen("wss://127.0.0.1:0", tls=mutual),
    }
    opening = trio_mqtt.open_broker(
        *listeners.values(), security=trio_mqtt.Security(passwords=folder / "users")
    )
    with trio_portal.wrap_async_context_manager(opening) as broker:
        yield Served(dict(zip(listeners, broker.urls, strict=True)), certificates)


# Whether a client is let in: the listeners, the URL, user name and password, and its certificate's
# file. Whoever is let in publishes a message and has it acknowledged.
Enters = Callable[[Served, str, str | None, str | None, str | None], bool]


def mosquitto(
    served: Served, url: str, username: str | None, password: str | None, file: str | None
) -> bool:
    parts = urlsplit(url)
    command = [program("mosquitto_pub"), "-t", "crossing", "-m", "x", "-q", "1"]
    if parts.scheme == "unix":
        command += ["--unix", parts.path]
    else:
        command += ["-h", "127.0.0.1", "-p", str(parts.port)]
    if parts.scheme == "mqtts":
        command += ["--cafile", served.certificates.ca_file]
    if file is not None:
        command += ["--cert", file, "--key", file]
    if username is not None and password is not None:
        command += ["-u", username, "-P", password]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)
    return done.returncode == 0


def paho(
    served: Served, url: str, username: str | None, password: str | None, file: str | None
) -> bool:
    parts = urlsplit(url)
    client = mqtt.Client(
        CallbackAPIVersion.VERSION2,
        transport=TRANSPORTS.get(parts.scheme, "tcp"),
        reconnect_on_failure=False,
    )
    if parts.scheme in ("mqtts", "wss"):
        client.tls_set(served.certificates.ca_file, file, file)
    if username is not None:
        client.username_pw_set(username, password)
    ended: queue.Queue[bool] = queue.Queue()
    client.on_connect = lambda _client, _data, _flags, code, _properties: ended.put(
        not code.is_failure
    )
    client.on_disconnect = lambda *_: ended.put(False)
    unix = parts.scheme == "unix"
    client.connect(parts.path if unix else "127.0.0.1", parts.port or 1)
    client.loop_start()
    try:
        let_in = get(ended, "CONNACK")
        if let_in:
            client.publish("crossing", "x", 1).wait_for_publish(DEADLINE)
        return let_in
    finally:
        client.disconnect()
        client.loop_stop()


def mqttjs(
    served: Served, url: str, username: str | None, password: str | None, file: str | None
) -> bool:
    script = """
        import { readFileSync } from "node:fs";
        const { url, ca, file, username, password } = JSON.parse(process.argv[1]);
        const { default: mqtt } = await import("mqtt");
        const own = file ? readFileSync(file) : undefined;
        const client = mqtt.connect(url, {
          reconnectPeriod: 0, ca: readFileSync(ca), cert: own, key: own,
          ...(username ? { username, password } : {}),
        });
        client.on("error", () => process.exit(7));
        client.on("close", () => process.exit(7));
        client.on("connect", () => client.publish("crossing", "x", { qos: 1 }, (error) =>
          process.exit(error ? 7 : 0)));
    """
    options = json.dumps(
        {
            "url": url,
            "ca": served.certificates.ca_file,
            "file": file,
            "username": username,
            "password": password,
        }
    )
    command = [node_command("clients.mjs")[0], "--input-type=module", "-e", script, options]
    done = subprocess.run(command, cwd=PACKAGES.parent, timeout=DEADLINE, check=False)
    assert done.returncode in (0, 7)
    return done.returncode == 0


def ours(
    served: Served, url: str, username: str | None, password: str | None, file: str | None
) -> bool:
    tls = served.certificates.trusting(file) if urlsplit(url).scheme in ("mqtts", "wss") else None

    async def enter() -> bool:
        try:
            async with trio_mqtt.open_client(
                url, username=username, password=password, tls=tls, reconnect=False
            ) as client:
                await client.publish("crossing", "x", qos=1)
                return True
        except trio_mqtt.MqttError:
            return False

    return anyio.run(enter)


# Listener and scheme; those of mqtt:// and ws:// are in the tests of passwords.
TCP = [("mqtts", "mqtts"), ("any", "mqtt"), ("any", "mqtts")]
WEB = [("wss", "wss"), ("any", "ws"), ("any", "wss")]
UNIX = [("unix", "unix")]
EACH = [
    pytest.param(enters, listener, scheme, id=f"{enters.__name__}-{listener}-{scheme}")
    for enters, ways in (
        (mosquitto, TCP + UNIX),
        (paho, TCP + WEB + UNIX),
        (mqttjs, TCP + WEB),
        (ours, TCP + WEB + UNIX),
    )
    for listener, scheme in ways
]


@pytest.mark.parametrize(("enters", "listener", "scheme"), EACH)
def test_every_listener_lets_in_by_the_right_password_only(
    served: Served, enters: Enters, listener: str, scheme: str
) -> None:
    url = served.url(listener, scheme)
    let_in = [
        name for name, (user, word) in CREDENTIALS.items() if enters(served, url, user, word, None)
    ]
    assert let_in == ["right"]


@pytest.mark.parametrize(
    ("enters", "listener"),
    [
        *((enters, "mutual-mqtts") for enters in (mosquitto, mqttjs, paho, ours)),
        (ours, "mutual-wss"),
    ],
)
def test_certificates_and_passwords_both_have_to_be_right(
    served: Served, enters: Enters, listener: str
) -> None:
    url = served.url(listener, listener.removeprefix("mutual-"))
    issue = served.certificates.client
    files = {
        "right": issue("sensor"),
        "foreign": issue("sensor", ours=False),
        "expired": issue("sensor", expired=True),
        "missing": None,
    }
    let_in = [name for name, file in files.items() if enters(served, url, "alice", "right", file)]
    assert let_in == ["right"]
    assert not enters(served, url, "alice", "wrong", files["right"])


def test_paho_is_disconnected_when_its_token_expires_and_not_let_in_again(
    trio_portal: BlockingPortal, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    key.write_bytes(SECRET)
    key.chmod(0o600)
    security = trio_mqtt.Security(tokens=trio_mqtt.access.TokenVerifier.load(key))
    opening = trio_mqtt.open_broker("mqtt://127.0.0.1:0", security=security)
    token = jwt.encode({"sub": "alice", "exp": time.time() + 1}, SECRET, "HS256")
    with trio_portal.wrap_async_context_manager(opening) as broker:
        # MQTT 5: "not authorized" at the end, "bad user name or password" from then on.
        for expected in ([0, 0x87], [0x86]):
            client = mqtt.Client(
                CallbackAPIVersion.VERSION2,
                protocol=MQTTProtocolVersion.MQTTv5,
                reconnect_on_failure=False,
            )
            client.username_pw_set("any", token)
            said: queue.Queue[ReasonCode] = queue.Queue()
            client.on_connect = lambda _c, _d, _f, code, _p, said=said: said.put(code)
            client.on_disconnect = lambda _c, _d, _f, code, _p, said=said: said.put(code)
            client.connect("127.0.0.1", urlsplit(broker.url).port or 0)
            client.loop_start()
            try:
                assert [get(said, "the broker's word").value for _ in expected] == expected
            finally:
                client.disconnect()
                client.loop_stop()
