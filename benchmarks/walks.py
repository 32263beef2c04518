"""Which files one packet passes in the broker: `python -m benchmarks.walks`.

Prints a table: for each walk the files in the order of their first visit, how many they are, and
how often the walk changes from one file to another and from one room (package) to another. A reader
who follows a packet turns as many pages. `--calls NAME` prints each call of one walk instead.

What is counted: each call of a Python function of `trio_mqtt`, from the moment that the packet's
bytes are in the socket until the broker is idle again; one task after the other, and a function
that waits counts once. A change is a call in another file than the call before it. What runs in
other threads (hashing of passwords) is not seen.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any, NamedTuple

import trio

import trio_mqtt
from trio_mqtt import ProtocolVersion, Security, Subscription, Will
from trio_mqtt.access import set_password
from trio_mqtt.broker import turns
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packets import (
    Connect,
    Disconnect,
    Packet,
    PubAck,
    Publish,
    PubRec,
    PubRel,
    Subscribe,
)

_ROOT = f"{Path(trio_mqtt.__file__).parent}{os.sep}"
_QUIET = 0.1  # seconds after which all is done that a packet asks for
_ANSWERED = 60.0  # seconds within which a password is checked
_TOPIC = "sensors/1"
_KEPT: dict[str, Any] = {"session_expiry_interval": 60}


class Call(NamedTuple):
    """A function that was called."""

    file: str
    """Its file below `trio_mqtt`, without `.py`."""

    function: str

    @property
    def room(self) -> str:
        """The package that the file is in: `protocol`, `broker`, or a room of the broker."""
        folders = self.file.split("/")[:-1] or ["trio_mqtt"]
        return folders[1] if folders[0] == "broker" and len(folders) > 1 else folders[0]

    @property
    def name(self) -> str:
        """The file's name without its folders."""
        return self.file.rpartition("/")[2]


class Recorder:
    """Notes the calls of functions of `trio_mqtt` while it is entered."""

    def __init__(self) -> None:
        self._by_task: dict[trio.lowlevel.Task | None, list[Call]] = {}
        # Also keeps the frames: another one must not get the place, and so the id, of one of them.
        self._begun: dict[int, FrameType] = {}

    def __enter__(self) -> Recorder:
        sys.setprofile(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        self._begun.clear()

    def calls(self) -> list[Call]:
        """The calls of all tasks, of one after the other."""
        return [call for calls in self._by_task.values() for call in calls]

    def _note(self, frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event != "call" or not code.co_filename.startswith(_ROOT) or id(frame) in self._begun:
            return
        self._begun[id(frame)] = frame
        file = Path(code.co_filename).relative_to(_ROOT).with_suffix("").as_posix()
        # What is read where Trio's loop would wait belongs to no task.
        task = trio.lowlevel.current_task() if trio.lowlevel.in_trio_task() else None
        calls = self._by_task.setdefault(task, [])
        calls.append(Call(file, code.co_qualname))


class Peer:
    """A client that says what it is told to, and reads nothing but what CONNECT is answered."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream

    async def say(self, packet: Packet) -> list[Call]:
        """Send a packet; what the broker calls until all is done that it asks for."""
        data = encode(packet, ProtocolVersion.V5)
        with Recorder() as recorder:
            await self._stream.send_all(data)
            await trio.sleep(_QUIET)
        return recorder.calls()

    async def answered(self) -> None:
        """Wait for an answer: what a thread has to do first may take longer than that is quiet."""
        with trio.fail_after(_ANSWERED):
            await self._stream.receive_some()

    async def vanish(self) -> list[Call]:
        """Close the socket without a word; what the broker calls until that is done."""
        with Recorder() as recorder:
            await self._stream.aclose()
            await trio.sleep(_QUIET)
        return recorder.calls()


class Stage:
    """A broker that listens, and its clients."""

    def __init__(self, broker: trio_mqtt.Broker) -> None:
        self._port = int(broker.url.rpartition(":")[2])
        self._peers: list[Peer] = []  # a socket that nobody refers to is closed

    async def peer(self) -> Peer:
        """A client that has said nothing yet."""
        peer = Peer(await trio.open_tcp_stream("127.0.0.1", self._port))
        self._peers.append(peer)
        await trio.sleep(_QUIET)
        return peer

    async def client(self, client_id: str, **options: Any) -> Peer:
        """A client that is connected; `options` are those of CONNECT."""
        peer = await self.peer()
        await peer.say(Connect(client_id, protocol_version=ProtocolVersion.V5, **options))
        await peer.answered()
        return peer

    async def subscriber(self, qos: int, **options: Any) -> Peer:
        """A client with one subscription."""
        subscriber = await self.client("subscriber", **options)
        await subscriber.say(Subscribe(1, [Subscription(_TOPIC, qos=qos)]))
        return subscriber

    async def publisher(self) -> Peer:
        """A client that has published to the topic already, as most have that publish to it."""
        publisher = await self.client("publisher")
        await publisher.say(Publish(_TOPIC, b"20.5"))
        return publisher


async def _subscribe(stage: Stage) -> list[Call]:
    client = await stage.client("subscriber")
    return await client.say(Subscribe(1, [Subscription(_TOPIC, qos=1)]))


def _message(qos: int, *, retain: bool = False) -> Publish:
    return Publish(_TOPIC, b"21.0", qos, retain, packet_id=1 if qos else 0)


async def _qos_0(stage: Stage) -> list[Call]:
    await stage.subscriber(0)
    return await (await stage.publisher()).say(_message(0))


async def _qos_1(stage: Stage) -> list[Call]:
    await stage.subscriber(1)
    return await (await stage.publisher()).say(_message(1))


async def _puback(stage: Stage) -> list[Call]:
    subscriber = await stage.subscriber(1)
    await (await stage.publisher()).say(_message(1))
    return await subscriber.say(PubAck(1))


async def _qos_2(stage: Stage) -> list[Call]:
    await stage.subscriber(2)
    return await (await stage.publisher()).say(_message(2))


async def _pubrel(stage: Stage) -> list[Call]:
    publisher = await stage.publisher()
    await publisher.say(_message(2))
    return await publisher.say(PubRel(1))


async def _pubrec(stage: Stage) -> list[Call]:
    subscriber = await stage.subscriber(2)
    await (await stage.publisher()).say(_message(2))
    return await subscriber.say(PubRec(1))


async def _retained(stage: Stage) -> list[Call]:
    await stage.subscriber(1)
    return await (await stage.publisher()).say(_message(1, retain=True))


async def _queued(stage: Stage) -> list[Call]:
    subscriber = await stage.subscriber(1, clean_start=False, properties=_KEPT)
    publisher = await stage.publisher()
    await subscriber.say(Disconnect())
    return await publisher.say(_message(1))


async def _will(stage: Stage) -> list[Call]:
    await stage.subscriber(1)
    await stage.publisher()
    will = Will(_TOPIC, b"gone", 1)
    return await (await stage.client("sensor", will=will)).vanish()


async def _connect(stage: Stage) -> list[Call]:
    known: dict[str, Any] = {
        "clean_start": False,
        "properties": _KEPT,
        "username": "ann",
        "password": b"secret",
    }
    subscriber = await stage.subscriber(1, **known)
    publisher = await stage.publisher()
    await publisher.say(_message(1))
    await subscriber.say(Disconnect())
    await publisher.say(_message(1))
    back = await stage.peer()
    return await back.say(Connect("subscriber", protocol_version=ProtocolVersion.V5, **known))


WALKS: dict[str, Callable[[Stage], Awaitable[list[Call]]]] = {
    "SUBSCRIBE to one filter": _subscribe,
    "QoS 0, alone": _qos_0,
    "QoS 1, alone": _qos_1,
    "its PUBACK": _puback,
    "QoS 2, alone": _qos_2,
    "its PUBREL": _pubrel,
    "its PUBREC": _pubrec,
    "QoS 1, retained": _retained,
    "QoS 1, queued for an absent client": _queued,
    "a will": _will,
    "CONNECT that resumes": _connect,
}
"""A walk for each name. CONNECT comes with user name and password; one message is in flight and
one is queued. A will is published when its client's connection is lost."""


@asynccontextmanager
async def _stage() -> AsyncIterator[Stage]:
    with TemporaryDirectory() as folder:
        passwords = Path(folder) / "passwords"
        set_password(passwords, "ann", b"secret", kind="pbkdf2", create=True)
        security = Security(passwords=passwords, allow_anonymous=True)
        async with trio_mqtt.open_broker("mqtt://127.0.0.1:0", security=security) as broker:
            yield Stage(broker)


async def record(name: str) -> list[Call]:
    """The calls of one of the `WALKS`, in a broker of its own."""
    # Being watched takes long, and a turn that ends by the clock would make a walk longer.
    turns.clock = float
    async with _stage() as stage:
        return await WALKS[name](stage)


def changes(places: Sequence[str]) -> int:
    """How often a place is another than the one before it."""
    return sum(here != there for here, there in pairwise(places))


def files_in_order(calls: Sequence[Call]) -> str:
    """The files of a walk by their first visit, each room named where the walk changes to it."""
    text = room = ""
    visited: set[str] = set()
    for call in calls:
        if call.file in visited:
            continue
        visited.add(call.file)
        text += f", {call.name}" if call.room == room else f" → **{call.room}** {call.name}"
        room = call.room
    return text.removeprefix(" → ")


def main() -> int:
    """Print the table, or the calls of one walk."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--calls", metavar="NAME", choices=WALKS, help="print the calls of a walk")
    options = parser.parse_args()
    if options.calls:
        for call in trio.run(record, options.calls):
            print(f"{call.file}: {call.function}")
        return 0
    print("| walk | files | changes of file | of room | files in order |")
    print("|---|--:|--:|--:|---|")
    for name in WALKS:
        calls = trio.run(record, name)
        files = [call.file for call in calls]
        rooms = [call.room for call in calls]
        print(
            f"| {name} | {len(set(files))} | {changes(files)} | {changes(rooms)}"
            f" | {files_in_order(calls)} |"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
