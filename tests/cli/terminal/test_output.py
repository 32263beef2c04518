"""Output that nobody takes holds up nothing else, and ends with whoever read it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

import pytest
import trio
import trio.testing
from tmqtt.terminal.output import LIMIT, Output, open_output


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


class Told:
    """A keeper that writes down what it is told."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.failing, self.well, self.over = trio.Event(), trio.Event(), trio.Event()

    def failed(self, error: OSError) -> None:
        self.words.append(f"failed: {error.strerror}")
        self.failing.set()

    def back(self, error: OSError) -> None:
        self.words.append(f"back: {error.strerror}")
        self.well.set()

    def gone(self) -> None:
        self.words.append("gone")
        self.over.set()


@pytest.mark.trio
async def test_what_a_full_disk_did_not_take_is_written_whole_once_it_can_be(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    room = [b"one ", b"", b"", b"", b"line\n"]  # what is taken at each try, and then everything
    write = os.write

    def full(descriptor: int, data: memoryview) -> int:
        taken = room.pop(0) if room else data
        if not taken:
            raise OSError(errno.ENOSPC, "No space left on device")
        assert bytes(data).startswith(taken)
        return write(descriptor, taken)

    keeper = Told()
    monkeypatch.setattr(os, "write", full)
    monkeypatch.setattr("tmqtt.terminal.output._TRY_AGAIN", 0.01)
    with trio.fail_after(30):
        async with open_output(pipe[1], lambda: keeper.words.append("ended")) as output:
            output.outlive(keeper)
            output.line("one line")
            await keeper.failing.wait()
            assert not output.idle
            assert not output.closed
            output.line("and another")
            await keeper.well.wait()
            await output.flush()
    monkeypatch.undo()
    assert keeper.words == ["failed: No space left on device", "back: No space left on device"]
    assert os.read(pipe[0], 1_000) == b"one line\nand another\n"
    assert output.trouble is None


@pytest.mark.trio
async def test_a_keeper_is_told_once_that_the_reader_has_gone(pipe: tuple[int, int]) -> None:
    keeper = Told()
    async with open_output(pipe[1], lambda: keeper.words.append("ended")) as output:
        output.outlive(keeper)
        os.close(pipe[0])
        output.put(b"too late")
        with trio.fail_after(30):
            await keeper.over.wait()
        assert output.closed
        output.put(b"later still")
        assert output.idle
    assert keeper.words == ["gone"]


@pytest.mark.trio
async def test_who_is_told_to_stop_can_have_what_waits_written(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    with trio.CancelScope() as scope:
        async with open_output(writing) as output:
            output.put(b"first")
            await output.flush()
            output.put(b", last")
            scope.cancel()
            with trio.fail_after(60) as waiting:
                waiting.shield = True
                await output.flush()
    assert os.read(reading, 100) == b"first, last"
