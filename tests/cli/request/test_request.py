"""`tmqtt request` prints the response, or tells how long many took."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trio
from tmqtt.request.command import summary

import trio_mqtt
from tests.cli.programs import Program


@contextmanager
def ended(*arguments: str) -> Iterator[Program]:
    with Program("request", *arguments) as request:
        yield request


@pytest.mark.slow
@pytest.mark.trio
async def test_a_response_is_printed_and_many_are_timed(in_pipe: tuple[Program, str]) -> None:
    _, url = in_pipe

    async def respond(task_status: trio.TaskStatus[None]) -> None:
        async with (
            trio_mqtt.open_client(url) as client,
            client.subscribe("rr/upper") as requests,
        ):
            task_status.started()
            async for message in requests:
                await message.respond(message.payload.upper())

    async with trio.open_nursery() as nursery:
        await nursery.start(respond)
        with ended("rr/upper", "what?", "-b", url) as single:
            assert await trio.to_thread.run_sync(single.ended) == 0
            assert single.out.data == b"WHAT?\n"
        with ended("rr/upper", "-n", "50", "-b", url) as many:
            assert await trio.to_thread.run_sync(many.ended) == 0
            lines = many.out.text.splitlines()
            assert lines[0] == "50 responses, 0 without"
            assert [line.split()[0] for line in lines[1:]] == ["p50", "p90", "p99", "p99.9", "max"]
        nursery.cancel_scope.cancel()


@pytest.mark.slow
def test_no_response_is_exit_code_27(in_pipe: tuple[Program, str]) -> None:
    broker, url = in_pipe
    with Program("sub", "rr/silent", "-b", url) as sub:
        broker.out.expect("subscribed to rr/silent")
        with ended("rr/silent", "x", "-W", "2s", "-b", url) as request:
            assert request.ended() == 27
            assert request.err.text == "Error: No response came within 2 s.\n"
            assert request.out.data == b""
        assert sub.stop() == 143


@pytest.mark.slow
def test_nobody_to_ask_is_told(in_pipe: tuple[Program, str]) -> None:
    _, url = in_pipe
    with ended("rr/nobody", "x", "-b", url) as request:
        assert request.ended() == 16  # no matching subscribers
        assert request.err.text.startswith("Error: ")


def test_percentiles_are_of_the_answers() -> None:
    lines = summary([number / 1000 for number in range(1, 1001)], 2)
    assert [line.split() for line in lines[1:]] == [
        ["p50", "500.00", "ms"], ["p90", "900.00", "ms"], ["p99", "990.00", "ms"],
        ["p99.9", "999.00", "ms"], ["max", "1000.00", "ms"],
    ]  # fmt: skip
    assert summary([], 3) == ["0 responses, 3 without"]
