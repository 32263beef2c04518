"""Access and foreign clients: right, wrong and missing passwords; access given and withdrawn."""

from __future__ import annotations

import queue
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import anyio
import paho.mqtt.client as mqtt
import pytest
from anyio.from_thread import BlockingPortal
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

import trio_mqtt
from tests.inside import core_of
from trio_mqtt.broker.access.files.password_changes import set_password

from .node import PACKAGES, node_command
from .peers import DEADLINE, Version, get
from .test_mosquitto_clients import VERSIONS, program

ALLOWED = "user alice\ntopic readwrite a/#\n"
WITHDRAWN = "user alice\ntopic write a/#\n"


class Locked:
    """A broker that asks for passwords and has access rules, on a plain and a WebSocket port."""

    def __init__(self, broker: trio_mqtt.Broker, portal: BlockingPortal, access: Path) -> None:
        self.broker = broker
        self._portal = portal
        self._access = access

    def port(self, scheme: str) -> int:
        (url,) = (url for url in self.broker.urls if url.startswith(f"{scheme}://"))
        return int(url.removesuffix("/mqtt").rpartition(":")[2])

    def hold_to(self, rules: str) -> None:
        self._access.write_text(rules)
        self._portal.call(self.broker.reload)

    def retained(self) -> list[str]:
        return self._portal.call(lambda: [m.topic for m, *_ in core_of(self.broker).retained.all()])

    def publish(self, topic: str, payload: str) -> None:
        self._portal.call(self.broker.publish, topic, payload)


@pytest.fixture
def locked(tmp_path: Path, trio_portal: BlockingPortal) -> Iterator[Locked]:
    passwords, access = tmp_path / "passwords", tmp_path / "access"
    set_password(passwords, "alice", b"right", create=True)
    access.write_text(ALLOWED)
    opening = trio_mqtt.open_broker(
        "mqtt://127.0.0.1:0",
        "ws://127.0.0.1:0",
        security=trio_mqtt.Security(passwords=passwords, access=access),
    )
    with trio_portal.wrap_async_context_manager(opening) as broker:
        yield Locked(broker, trio_portal, access)


# Publishes a retained message; whether the broker let the client in. The arguments are the broker,
# the scheme, the version, the user name, the password, and the topic.
Publishes = Callable[[Locked, str, Version, str | None, str | None, str], bool]


def by_mosquitto(
    locked: Locked,
    scheme: str,
    version: Version,
    username: str | None,
    password: str | None,
    topic: str,
) -> bool:
    command = [program("mosquitto_pub"), "-h", "127.0.0.1", "-p", str(locked.port(scheme))]
    command += ["-V", VERSIONS[version], "-t", topic, "-m", "x", "-q", "1", "-r"]
    if username is not None:
        command += ["-u", username]
    if password is not None:
        command += ["-P", password]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)
    return "Connection error" not in done.stderr and "onnection Refused" not in done.stderr


def paho(
    locked: Locked, scheme: str, version: Version, username: str | None, password: str | None
) -> tuple[mqtt.Client, queue.Queue[ReasonCode]]:
    """A paho client that is connecting, and what CONNACK will say."""
    client = mqtt.Client(
        CallbackAPIVersion.VERSION2,
        protocol=MQTTProtocolVersion.MQTTv5 if version == "5" else MQTTProtocolVersion.MQTTv311,
        transport="websockets" if scheme == "ws" else "tcp",
        reconnect_on_failure=False,
    )
    if username is not None:
        client.username_pw_set(username, password)
    answers: queue.Queue[ReasonCode] = queue.Queue()
    client.on_connect = lambda _client, _data, _flags, code, _properties: answers.put(code)
    client.connect("127.0.0.1", locked.port(scheme))
    client.loop_start()
    return client, answers


def by_paho(
    locked: Locked,
    scheme: str,
    version: Version,
    username: str | None,
    password: str | None,
    topic: str,
) -> bool:
    client, answers = paho(locked, scheme, version, username, password)
    try:
        let_in = not get(answers, "CONNACK").is_failure
        if let_in:
            client.publish(topic, "x", 1, retain=True).wait_for_publish(DEADLINE)
        return let_in
    finally:
        client.disconnect()
        client.loop_stop()


def by_mqttjs(
    locked: Locked,
    scheme: str,
    version: Version,
    username: str | None,
    password: str | None,
    topic: str,
) -> bool:
    script = """
        const [url, version, topic, username, password] = process.argv.slice(1);
        const { default: mqtt } = await import("mqtt");
        const client = mqtt.connect(url, {
          protocolVersion: Number(version), reconnectPeriod: 0,
          ...(username ? { username } : {}), ...(password ? { password } : {}),
        });
        client.on("error", () => process.exit(7));
        client.on("connect", () => client.publish(topic, "x", { qos: 1, retain: true }, () =>
          client.end(false, () => process.exit(0))));
    """
    url = f"{scheme}://127.0.0.1:{locked.port(scheme)}{'/mqtt' if scheme == 'ws' else ''}"
    level = {"3.1.1": "4", "5": "5"}[version]
    command = [node_command("clients.mjs")[0], "--input-type=module", "-e", script]
    done = subprocess.run(
        [*command, url, level, topic, username or "", password or ""],
        cwd=PACKAGES.parent,
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode in (0, 7)
    return done.returncode == 0


def by_ours(
    locked: Locked,
    scheme: str,
    _version: Version,
    username: str | None,
    password: str | None,
    topic: str,
) -> bool:
    path = "/mqtt" if scheme == "ws" else ""
    url = f"{scheme}://127.0.0.1:{locked.port(scheme)}{path}"

    async def publish() -> bool:
        try:
            async with trio_mqtt.open_client(url, username=username, password=password) as client:
                with suppress(
                    trio_mqtt.RequestRefusedError
                ):  # what came of it shows what is retained
                    await client.publish(topic, "x", qos=1, retain=True)
                return True
        except trio_mqtt.ConnectionRefusedByBrokerError:
            return False

    return anyio.run(publish)


EACH = [
    pytest.param(by_mosquitto, "mqtt", id="mosquitto_pub"),
    *(
        pytest.param(publishes, scheme, id=f"{name}-{scheme}")
        for name, publishes in (("paho", by_paho), ("mqtt.js", by_mqttjs), ("ours", by_ours))
        for scheme in ("mqtt", "ws")
    ),
]


@pytest.mark.parametrize(("publishes", "scheme"), EACH)
def test_only_the_right_password_lets_in(
    locked: Locked, version: Version, publishes: Publishes, scheme: str
) -> None:
    for username, password, let_in in (
        ("alice", "right", True),
        ("alice", "wrong", False),
        ("nobody", "right", False),
        (None, None, False),
    ):
        topic = f"a/{username}/{password}"
        assert publishes(locked, scheme, version, username, password, topic) == let_in
        assert (topic in locked.retained()) == let_in


@pytest.mark.parametrize(("publishes", "scheme"), EACH)
def test_what_the_rules_do_not_allow_goes_nowhere(
    locked: Locked, version: Version, publishes: Publishes, scheme: str
) -> None:
    for topic in ("b/denied", "a/allowed"):
        assert publishes(locked, scheme, version, "alice", "right", topic)
    assert locked.retained() == ["a/allowed"]


@pytest.mark.parametrize("scheme", ["mqtt", "ws"])
def test_access_that_is_withdrawn_in_mid_session_is_gone_at_once(
    locked: Locked, version: Version, scheme: str
) -> None:
    client, answers = paho(locked, scheme, version, "alice", "right")
    try:
        assert not get(answers, "CONNACK").is_failure
        granted: queue.Queue[list[int]] = queue.Queue()
        messages: queue.Queue[bytes] = queue.Queue()
        client.on_subscribe = lambda _client, _data, _mid, codes, _properties: granted.put(
            [code.value for code in codes]
        )
        client.on_message = lambda _client, _data, message: messages.put(bytes(message.payload))
        client.subscribe([("a/#", 1), ("b", 1)])
        assert get(granted, "SUBACK") == [1, 0x87 if version == "5" else 0x80]
        locked.publish("a/x", "1")
        assert get(messages, "a message") == b"1"
        locked.hold_to(WITHDRAWN)
        locked.publish("a/x", "2")
        locked.hold_to(ALLOWED)
        locked.publish("a/x", "3")
        assert get(messages, "a message") == b"3"
    finally:
        client.disconnect()
        client.loop_stop()
