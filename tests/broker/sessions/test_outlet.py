"""The way to one client: when nothing more is prepared for it, and it is not heard."""

from __future__ import annotations

import socket
from typing import Any, cast

import pytest
import trio
import trio.testing

from trio_mqtt import Limits, Statistics
from trio_mqtt.broker.promises import Awaited
from trio_mqtt.broker.sessions.outlet import Outlet
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import ConnAck, Disconnect
from trio_mqtt.transport.listeners.origin import Origin
from trio_mqtt.transport.listeners.streams import SocketStream


class Unread:
    """A stream of which the peer takes nothing before it may."""

    peer = "a test"

    def __init__(self) -> None:
        self.is_read = trio.Event()

    def send_nowait(self, data: bytes) -> int:
        return 0

    async def send_some(self, data: memoryview) -> int:
        await self.is_read.wait()
        return len(data)

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


class AtWork:
    """A journal that has kept nothing yet."""

    def holds(self, outlet: object) -> int:
        return 1

    def no_longer_holds(self, outlet: object) -> None:
        """It is told nothing."""


async def test_what_the_storage_has_not_kept_counts_while_earlier_bytes_leave() -> None:
    stream, limits = Unread(), Limits(maximum_in_flight_bytes=1_000)
    outlet = Outlet(cast(Any, stream), limits, Statistics(), cast(Any, None))
    async with trio.open_nursery() as nursery:
        outlet.start(nursery)
        outlet.write(b"earlier")
        outlet.hold(cast(Any, AtWork()), promised=2_000)
        outlet.write(b"promised")
        is_held_back = [outlet.congested]
        stream.is_read.set()
        await trio.testing.wait_all_tasks_blocked()
        is_held_back.append(outlet.congested)
        outlet.release(1)
        is_held_back.append(outlet.congested)
        await outlet.finish()
    assert is_held_back == [True, True, False]


async def test_nothing_is_prepared_while_others_are_waited_for_and_the_client_is_heard() -> None:
    outlet = Outlet(cast(Any, Read()), Limits(), Statistics(), cast(Any, None))
    awaited = Awaited()
    outlet.wait_for(awaited)
    outlet.write(b"SUBACK")
    seen = [(outlet.congested, outlet.backed_up)]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outlet.wait_until_written)
        await outlet.wait_for_progress()
        await trio.testing.wait_all_tasks_blocked()
        awaited.end()
    seen.append((outlet.congested, outlet.backed_up))
    assert seen == [(True, False), (False, False)]


class Read:
    """A stream that takes all there is."""

    peer = "a test"

    def __init__(self) -> None:
        self.data = b""

    def send_nowait(self, data: bytes) -> int:
        self.data += data
        return len(data)

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


async def test_what_is_withheld_never_leaves_though_it_was_kept() -> None:
    """The session was others' by then: only what ends the connection is said."""
    stream = Read()
    outlet = Outlet(cast(Any, stream), Limits(), Statistics(), cast(Any, None))
    async with trio.open_nursery() as nursery:
        outlet.start(nursery)
        outlet.write(b"earlier, ")
        outlet.hold(cast(Any, AtWork()))
        outlet.write(b"promised, ")
        outlet.withhold()
        outlet.write(b"the end")
        outlet.release(1)
        await outlet.finish()
    assert stream.data == b"earlier, the end"


async def test_where_connack_is_withheld_nothing_is_said() -> None:
    stream = Read()
    outlet = Outlet(cast(Any, stream), Limits(), Statistics(), cast(Any, None))
    async with trio.open_nursery() as nursery:
        outlet.start(nursery)
        outlet.hold(cast(Any, AtWork()))
        outlet.write(encode(ConnAck(), ProtocolVersion.V5))
        outlet.withhold()
        outlet.write(encode(Disconnect(), ProtocolVersion.V5))
        outlet.release(1)
        await outlet.finish()
    assert stream.data == b""


@pytest.mark.trio
async def test_a_full_socket_is_written_to_later_and_one_without_a_peer_is_lost() -> None:
    """By sockets, which tell otherwise than streams that nothing can be written, or ever will."""
    ours, theirs = socket.socketpair()
    lost = Lost()
    with theirs:
        stream = SocketStream(ours, Origin(None, "a test"))
        outlet = Outlet(stream, Limits(), Statistics(), cast(Any, lost))
        part, received = b"x" * 65_536, 0
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                outlet.start(nursery)
                while not outlet.backed_up:
                    outlet.write(part)
                    received -= len(part)
                theirs.setblocking(False)
                while received < 0:
                    await trio.lowlevel.wait_readable(theirs)
                    received += len(theirs.recv(65_536))
                await outlet.wait_for_progress()
        assert received == 0
        assert lost.reasons == []
    outlet.write(b"to nobody")
    outlet.write(b"to nobody")
    assert lost.reasons == ["the connection was lost"]
    await stream.aclose()


class Lost:
    """A connection that notes why it was lost."""

    def __init__(self) -> None:
        self.reasons: list[str] = []

    def lost(self, reason: str) -> None:
        self.reasons.append(reason)
