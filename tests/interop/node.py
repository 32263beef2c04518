"""MQTT.js clients, all in one Node process that takes commands."""

from __future__ import annotations

import base64
import itertools
import json
import queue
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from .peers import Connecting, LineProcess, Message, Peer, get

HERE = Path(__file__).parent
PACKAGES = HERE / "node_modules"


def node_command(script: str) -> list[str]:
    """The command line for one of the scripts in js/."""
    node = shutil.which("node")
    if node is None:
        raise FileNotFoundError("Node.js is not installed: apt-get install nodejs npm.")
    if not PACKAGES.is_dir():
        raise FileNotFoundError(f"The npm packages are missing: run `npm ci` in {HERE}.")
    return [node, str(HERE / "js" / script)]


class NodePeer:
    """One MQTT.js client."""

    def __init__(self, clients: NodeClients, name: str) -> None:
        self._clients = clients
        self._name = name
        self.session_present: bool | None = None
        self.answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self.messages: queue.Queue[dict[str, Any]] = queue.Queue()

    def request(self, do: str, **arguments: object) -> dict[str, Any]:
        """Have something done; what it gave. Raises RuntimeError with what went wrong."""
        self._clients.send({"client": self._name, "do": do, **arguments})
        answer = get(self.answers, f"the answer of MQTT.js to {do!r}")
        if "error" in answer:
            raise RuntimeError(f"MQTT.js failed to {do}: {answer['error']}")
        return answer

    def subscribe(self, topic_filter: str, qos: int, **options: object) -> None:
        answer = self.request("subscribe", filter=topic_filter, options={"qos": qos, **options})
        assert answer["granted"] == [qos]

    def publish(self, topic: str, *payloads: bytes, qos: int, retain: bool = False) -> None:
        self.publish_with({"qos": qos, "retain": retain}, topic, *payloads)

    def publish_with(self, options: dict[str, object], topic: str, *payloads: bytes) -> None:
        """Publish with any options of MQTT.js."""
        encoded = [base64.b64encode(payload).decode() for payload in payloads]
        self.request("publish", topic=topic, payloads=encoded, options=options)

    def receive(self) -> Message:
        message, _properties = self.receive_with_properties()
        return message

    def receive_with_properties(self) -> tuple[Message, dict[str, Any]]:
        """The next message, and its properties as MQTT.js names them."""
        packet = get(self.messages, "a message for MQTT.js")
        payload = base64.b64decode(packet["payload"])
        message = Message(packet["topic"], payload, packet["qos"], packet["retain"])
        return message, packet["properties"]


class NodeClients:
    """The process in which all MQTT.js clients live."""

    def __init__(self) -> None:
        self._peers: dict[str, NodePeer] = {}
        self._names = itertools.count()
        self._process: LineProcess

    def __enter__(self) -> Self:
        self._process = LineProcess(node_command("clients.mjs"), self._on_line, stdin=True)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._process.end()

    def send(self, request: object) -> None:
        self._process.write_json(request)

    def _on_line(self, line: str) -> None:
        said = json.loads(line)
        peer = self._peers[said["client"]]
        (peer.messages if said["kind"] == "message" else peer.answers).put(said)

    @contextmanager
    def open(self, connecting: Connecting) -> Iterator[NodePeer]:
        """Connect one client."""
        name = str(next(self._names))
        peer = self._peers[name] = NodePeer(self, name)
        will = connecting.will
        answer = peer.request(
            "connect",
            url=connecting.server.url,
            version={"3.1.1": 4, "5": 5}[connecting.version],
            clientId=connecting.client_id,
            clean=connecting.clean,
            will=None
            if will is None
            else {
                "topic": will.topic,
                "payload": will.payload.decode(),
                "qos": will.qos,
                "retain": will.retain,
            },
        )
        peer.session_present = answer["sessionPresent"]
        try:
            yield peer
        finally:
            peer.request("end")

    @contextmanager
    def open_peer(self, connecting: Connecting) -> Iterator[Peer]:
        """The same, as the behaviours know it."""
        with self.open(connecting) as peer:
            yield peer
