"""Real sockets: one waits for all of a listener, and calls what reads from each.

Each test twice: where Trio's loop would wait, and by a task of the listener.
"""

from __future__ import annotations

import select
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
import trio.testing

from trio_mqtt.transport.listeners import waiting
from trio_mqtt.transport.listeners.origin import Origin
from trio_mqtt.transport.listeners.readiness import Readiness
from trio_mqtt.transport.listeners.streams import SocketStream
from trio_mqtt.transport.listeners.waiting import open_readiness

pytestmark = pytest.mark.skipif(not hasattr(select, "epoll"), reason="there is no epoll")


@pytest.fixture(params=["before the loop waits", "by a task"], autouse=True)
def who_waits(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "by a task":
        monkeypatch.setattr(waiting, "_DESCRIPTORS", "/nowhere")


class _Peer:
    """Both ends of a socket, the reads of one of them, and how many there were."""

    def __init__(self, readiness: Readiness) -> None:
        theirs, self.far = socket.socketpair()
        self.stream = SocketStream(theirs, Origin(None, "here"), readiness)
        self.received: list[bytes | None] = []
        self.then: Callable[[], bool] = lambda: True

    def read(self) -> bool:
        self.received.append(self.stream.receive_nowait())
        return self.then()

    async def serve(self) -> None:
        await self.stream.while_readable(self.read)

    async def close(self) -> None:
        await self.stream.aclose()
        self.far.close()


@asynccontextmanager
async def _peers(count: int) -> AsyncIterator[list[_Peer]]:
    async with open_readiness() as readiness:
        assert readiness is not None
        peers = [_Peer(readiness) for _ in range(count)]
        yield peers
        for peer in peers:
            await peer.close()


def _have_read(peers: list[_Peer], counts: list[int]) -> bool:
    return [len(peer.received) for peer in peers] == counts


async def _until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(60):
        while not condition():
            await trio.lowlevel.checkpoint()


async def test_what_comes_is_read_without_resuming_the_tasks_that_wait() -> None:
    async with _peers(3) as peers, trio.open_nursery() as nursery:
        for peer in peers:
            nursery.start_soon(peer.serve)
        await trio.testing.wait_all_tasks_blocked()
        for count, number in enumerate((b"1", b"2"), 1):
            for peer in peers[:2]:
                peer.far.send(number)
            await _until(partial(_have_read, peers, [count, count, 0]))
        assert [peer.received for peer in peers] == [[b"1", b"2"], [b"1", b"2"], []]
        assert len(nursery.child_tasks) == 3
        nursery.cancel_scope.cancel()


async def test_who_stops_reading_is_left_alone_until_it_asks_again() -> None:
    async with _peers(1) as [peer], trio.open_nursery() as nursery:
        peer.then = lambda: False
        nursery.start_soon(peer.serve)
        peer.far.send(b"once")
        await _until(lambda: not nursery.child_tasks)
        peer.far.send(b"meanwhile")
        # Whatever has come does not keep the broker busy: nothing is to be done here.
        for _ in range(3):
            await trio.testing.wait_all_tasks_blocked()
        assert peer.received == [b"once"]
        nursery.start_soon(peer.serve)
        await _until(lambda: not nursery.child_tasks)
        assert peer.received == [b"once", b"meanwhile"]


async def test_what_reading_raises_is_raised_where_it_was_asked_for() -> None:
    def fail() -> bool:
        raise ValueError("what came is bad")

    async with _peers(2) as peers, trio.open_nursery() as nursery:
        peers[0].then = fail
        nursery.start_soon(peers[1].serve)
        peers[0].far.send(b"bad")
        with pytest.raises(ValueError, match="what came is bad"):
            await peers[0].serve()
        peers[1].far.send(b"good")
        await _until(lambda: peers[1].received == [b"good"])
        nursery.cancel_scope.cancel()


async def test_who_is_cancelled_reads_nothing_more() -> None:
    async with _peers(1) as [peer]:
        with trio.move_on_after(0):
            await peer.serve()
        peer.far.send(b"late")
        await trio.testing.wait_all_tasks_blocked()
        assert peer.received == []


async def test_who_is_cancelled_by_what_it_reads_ends_once() -> None:
    async with _peers(1) as [peer]:
        with trio.CancelScope() as scope:

            def give_up() -> bool:
                scope.cancel()
                return False

            peer.then = give_up
            peer.far.send(b"goodbye")
            await peer.serve()
        assert scope.cancelled_caught
        assert peer.received == [b"goodbye"]


async def test_sockets_closed_by_what_another_has_said_are_not_read() -> None:
    async with open_readiness() as readiness, trio.open_nursery() as nursery:
        assert readiness is not None
        peers = [_Peer(readiness) for _ in range(3)]

        def close_the_others() -> bool:
            [own] = [peer for peer in peers if peer.received]
            for peer in peers:
                if peer is not own and peer.stream.socket.fileno() >= 0:
                    readiness.forget(peer.stream.socket.fileno())
                    peer.stream.socket.close()
            return True

        for peer in peers:
            peer.then = close_the_others
            peer.far.send(b"all at once")
            nursery.start_soon(peer.serve)
        await _until(lambda: any(peer.received for peer in peers))
        [left] = [peer for peer in peers if peer.received]
        left.far.send(b"and on")
        await _until(lambda: left.received == [b"all at once", b"and on"])
        assert [peer for peer in peers if peer.received] == [left]
        nursery.cancel_scope.cancel()
        for peer in peers:
            peer.stream.socket.close()
            peer.far.close()


async def test_a_socket_that_somebody_else_has_closed_can_be_let_go() -> None:
    async with _peers(2) as peers, trio.open_nursery() as nursery:
        for peer in peers:
            nursery.start_soon(peer.serve)
        await trio.testing.wait_all_tasks_blocked()
        peers[0].stream.socket.close()
        await peers[0].close()
        peers[1].far.send(b"still here")
        await _until(lambda: peers[1].received == [b"still here"])
        nursery.cancel_scope.cancel()


async def test_a_new_socket_may_have_the_number_of_one_before() -> None:
    async with open_readiness() as readiness:
        assert readiness is not None
        numbers = set()
        for number in range(3):
            peer = _Peer(readiness)
            numbers.add(peer.stream.socket.fileno())
            peer.then = lambda: False
            peer.far.send(b"%d" % number)
            await peer.serve()
            assert peer.received == [b"%d" % number]
            await peer.close()
        assert len(numbers) == 1


@pytest.mark.parametrize("other_system", [False, True])
async def test_where_no_more_can_be_opened_each_socket_is_waited_for_alone(
    other_system: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> None:
        raise OSError(24, "Too many open files")

    if other_system:
        monkeypatch.setattr(sys, "platform", "darwin")
    else:
        monkeypatch.setattr(select, "epoll", full)
    theirs, ours = socket.socketpair()
    received = []
    async with open_readiness() as readiness:
        assert readiness is None
        stream = SocketStream(theirs, Origin(None, "here"), readiness)

        def read() -> bool:
            received.append(stream.receive_nowait())
            return len(received) < 2

        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.while_readable, read)
            for number in range(2):
                await trio.testing.wait_all_tasks_blocked()
                ours.send(b"%d" % number)
        await stream.aclose()
    ours.close()
    assert received == [b"0", b"1"]


async def test_a_reset_while_nobody_reads_is_told_once() -> None:
    async with _peers(1) as [peer]:
        peer.then = lambda: False
        peer.far.send(b"1")
        await peer.serve()
        peer.stream.send_nowait(b"never read")
        peer.far.close()  # unread bytes make this a reset
        with trio.fail_after(60):
            await trio.testing.wait_all_tasks_blocked()  # else there is always something to do
        with trio.fail_after(60), pytest.raises(trio.BrokenResourceError):
            await peer.serve()
