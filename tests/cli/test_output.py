"""Output that nobody takes holds up nothing else, and ends with whoever read it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

import pytest
import trio
import trio.testing
from tmqtt.output import LIMIT, Output, open_output


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """The reading and the writing end of a pipe."""
    reading, writing = os.pipe()
    yield reading, writing
    for descriptor in (reading, writing):
        try:
            os.close(descriptor)
        except OSError as error:
            assert error.errno == errno.EBADF  # noqa: PT017 # the test closed it


@pytest.mark.trio
async def test_what_is_put_is_written_in_order(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    async with open_output(writing) as output:
        for number in range(1_000):
            output.line(str(number))
        await output.flush()
        assert output.idle
        written = os.read(reading, 65_536)
    assert written == b"".join(b"%d\n" % number for number in range(1_000))


@pytest.mark.trio
async def test_leaving_writes_what_waits(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    async with open_output(writing) as output:
        output.put(b"last")
    assert os.read(reading, 100) == b"last"


@pytest.mark.trio
async def test_a_reader_that_takes_nothing_makes_only_room_wait(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    async with open_output(writing) as output:
        output.put(bytes(LIMIT + 1))
        assert output.full
        assert not output.idle
        async with trio.open_nursery() as nursery:
            nursery.start_soon(output.room)
            await trio.testing.wait_all_tasks_blocked()  # the loop goes on
            left = LIMIT + 1
            while left:
                left -= len(await trio.to_thread.run_sync(os.read, reading, left))
        assert not output.full


@pytest.mark.trio
async def test_a_reader_that_has_gone_is_noticed(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    noticed = trio.Event()
    async with open_output(writing, noticed.set) as output:
        os.close(reading)
        output.put(b"too late")
        with trio.fail_after(30):
            await noticed.wait()
        assert output.closed
        assert output.error is None
        output.put(b"later still")
        assert output.idle


@pytest.mark.trio
async def test_a_full_disk_is_an_error(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int, _data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    ended = trio.Event()
    async with open_output(pipe[1], ended.set) as output:
        monkeypatch.setattr(os, "write", full)
        output.put(b"x")
        with trio.fail_after(30):
            await ended.wait()
        monkeypatch.undo()
        assert output.error is not None
        assert output.error.errno == errno.ENOSPC


@pytest.mark.trio
async def test_a_pipe_made_non_blocking_by_somebody_else_is_written_all_the_same(
    pipe: tuple[int, int],
) -> None:
    reading, writing = pipe
    os.set_blocking(writing, False)
    sent = os.urandom(1_000_000)

    def read_all() -> bytes:
        received = b""
        while len(received) < len(sent):
            received += os.read(reading, 65_536)
        return received

    async with open_output(writing) as output:
        output.put(sent)
        assert await trio.to_thread.run_sync(read_all) == sent


def test_a_pipe_is_no_terminal(pipe: tuple[int, int]) -> None:
    assert not Output(pipe[1], lambda: None).is_terminal
