"""mosquitto_pub and mosquitto_sub against our broker."""

from __future__ import annotations

import json
import queue
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from anyio.from_thread import BlockingPortal

import trio_mqtt
from trio_mqtt.history import HistorySettings

from .behaviours import Behaviours
from .peers import (
    DEADLINE,
    SESSION_EXPIRY,
    Connect,
    Connecting,
    LineProcess,
    Message,
    OpenPeer,
    Peer,
    Server,
    Version,
    get,
)

VERSIONS = {"3.1.1": "mqttv311", "5": "mqttv5"}


def program(name: str) -> str:
    """Where one of the commands is."""
    found = shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"{name} is not installed: apt-get install mosquitto-clients.")
    return found


def common(server: Server, version: Version) -> list[str]:
    """The arguments that both commands take."""
    return ["-h", server.host, "-p", str(server.port), "-V", VERSIONS[version]]


class MosquittoPeer:
    """A mosquitto_sub from the first subscription on, and a mosquitto_pub for each publishing."""

    session_present: bool | None = None  # they do not tell

    def __init__(self, connecting: Connecting, stack: ExitStack) -> None:
        self._connecting = connecting
        self._stack = stack
        self._process: LineProcess
        self._granted: queue.Queue[str] = queue.Queue()
        self._messages: queue.Queue[Message] = queue.Queue()

    def subscribe(self, topic_filter: str, qos: int, *options: str) -> None:
        connecting = self._connecting
        command = [
            # Without a terminal it would keep what it says until there is a block of it.
            *("stdbuf", "-oL", program("mosquitto_sub"), "-d"),
            *common(connecting.server, connecting.version),
            *("-i", connecting.client_id, "-t", topic_filter, "-q", str(qos)),
            *("-F", "message %q %r %x %t"),
            *options,
        ]
        if not connecting.clean:
            command.append("-c")
            if connecting.version == "5":
                command += ["-x", str(SESSION_EXPIRY)]
        will = connecting.will
        if will is not None:
            command += ["--will-topic", will.topic, "--will-payload", will.payload.decode()]
            command += ["--will-qos", str(will.qos), *["--will-retain"] * will.retain]
        self._process = LineProcess(command, self._on_line)
        self._stack.callback(self._process.end)
        assert get(self._granted, "SUBACK") == str(qos)

    def wait(self) -> None:
        """Wait until mosquitto_sub ends by itself."""
        assert self._process.process.wait(DEADLINE) == 0

    def _on_line(self, line: str) -> None:
        if line.startswith("Subscribed "):
            self._granted.put(line.rpartition(" ")[2])
        elif line.startswith("message "):
            _, qos, retain, payload, topic = line.split(" ", 4)
            message = Message(topic, bytes.fromhex(payload), int(qos), retain == "1")
            self._messages.put(message)

    def publish(self, topic: str, *payloads: bytes, qos: int, retain: bool = False) -> None:
        command = [
            program("mosquitto_pub"),
            *common(self._connecting.server, self._connecting.version),
            *("-t", topic, "-q", str(qos), *["-r"] * retain),
        ]
        if payloads == (b"",):
            command.append("-n")
        else:
            command.append("-s" if len(payloads) == 1 else "-l")
        subprocess.run(command, input=b"\n".join(payloads), check=True, timeout=DEADLINE)

    def receive(self) -> Message:
        return get(self._messages, "a message for mosquitto_sub")


@contextmanager
def open_mosquitto(connecting: Connecting) -> Iterator[Peer]:
    with ExitStack() as stack:
        yield MosquittoPeer(connecting, stack)


@pytest.fixture
def open_peer() -> OpenPeer:
    return open_mosquitto


class TestMosquittoClients(Behaviours):
    """mosquitto_pub and mosquitto_sub, MQTT 3.1.1 and 5."""

    def test_a_goodbye_cancels_the_will(self, connect: Connect, topic: str) -> None:
        # Told to end, mosquitto_sub asks for its will; done with its work, it does not.
        with connect() as heir, connect() as publisher:
            heir.subscribe(topic, 1)
            with connect(will=Message(topic, b"gone", 1)) as polite:
                assert isinstance(polite, MosquittoPeer)
                polite.subscribe(f"{topic}/own", 1, "-C", "1")
                publisher.publish(f"{topic}/own", b"enough", qos=1)
                polite.wait()
            publisher.publish(topic, b"live", qos=1)

            assert heir.receive() == Message(topic, b"live", 1)

    @pytest.mark.parametrize("version", ["5"])
    def test_a_goodbye_can_ask_for_the_will(self, connect: Connect, topic: str) -> None:
        with connect() as heir:
            heir.subscribe(topic, 1)
            with connect(will=Message(topic, b"gone", 1)) as doomed:
                doomed.subscribe(f"{topic}/own", 0)

            assert heir.receive() == Message(topic, b"gone", 1)


def test_properties_arrive_as_they_were_sent(our_broker: Server, topic: str) -> None:
    arguments = [*common(our_broker, "5"), "-t", topic]
    properties = {
        "content-type": ["text/plain"],
        "response-topic": ["answers/räume"],
        "correlation-data": ["42"],
        "user-property": ["key", "value"],
    }
    options = [
        word for name, value in properties.items() for word in ("-D", "publish", name, *value)
    ]
    subprocess.run(
        [program("mosquitto_pub"), *arguments, "-r", "-m", "payload", *options],
        check=True,
        timeout=DEADLINE,
    )
    received = subprocess.run(
        [program("mosquitto_sub"), *arguments, "-C", "1", "-F", "%C|%R|%D|%P"],
        check=True,
        timeout=DEADLINE,
        capture_output=True,
        text=True,
    )

    assert received.stdout == "text/plain|answers/räume|42|key:value\n"


def test_mqtt_31_is_spoken_too(our_broker: Server, topic: str) -> None:
    arguments = ["-h", our_broker.host, "-p", str(our_broker.port), "-V", "mqttv31", "-t", topic]
    publish = [program("mosquitto_pub"), *arguments, "-q", "2", "-r", "-m", "kept"]
    subprocess.run(publish, check=True, timeout=DEADLINE)
    received = subprocess.run(
        [program("mosquitto_sub"), *arguments, "-C", "1", "-F", "%r %p"],
        check=True,
        timeout=DEADLINE,
        capture_output=True,
        text=True,
    )

    assert received.stdout == "1 kept\n"


def test_what_came_is_asked_for_as_by_any_request(
    tmp_path: Path, trio_portal: BlockingPortal, topic: str
) -> None:
    kept = HistorySettings(filters=["#"], path=tmp_path / "history.sqlite3")
    opening = trio_mqtt.open_broker("mqtt://127.0.0.1:0", history=kept)
    with trio_portal.wrap_async_context_manager(opening) as broker:
        assert broker.history is not None
        trio_portal.call(broker.publish, topic, "21.5")
        trio_portal.call(broker.history.written)
        host, port = broker.url.removeprefix("mqtt://").split(":")
        answer = subprocess.run(
            [
                program("mosquitto_rr"),
                *common(Server(host, int(port)), "5"),
                *("-t", f"$history/{topic}", "-e", f"answers/{topic}", "-m", "last=1"),
            ],
            check=True,
            timeout=DEADLINE,
            capture_output=True,
            text=True,
        )

    assert [one["payload"] for one in json.loads(answer.stdout)["messages"]] == ["21.5"]
