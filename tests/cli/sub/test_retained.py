"""What asks for retained messages ends when they have come, on a quiet broker and on a busy one."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator

import pytest
import trio
from tmqtt.sub.retained import RetainedMessages
from trio.testing import MockClock

import trio_mqtt
from tests.cli.programs import Program, Run, publish
from trio_mqtt.testing import MemoryBroker, open_memory_broker


@pytest.fixture
async def memory() -> AsyncIterator[MemoryBroker]:
    async with open_memory_broker() as memory:
        yield memory


async def taken(source: RetainedMessages) -> list[str]:
    """The topics of all that it takes."""
    topics: list[str] = []
    while True:
        try:
            topics += [message.topic for message in await source.take(256)]
        except StopAsyncIteration:
            return topics


@pytest.mark.trio
async def test_a_second_without_any_is_the_end(
    memory: MemoryBroker, autojump_clock: MockClock
) -> None:
    async with memory.open_client() as client:
        for number in range(1_000):
            await client.publish(f"a/{number}", "x", retain=True)
        async with client.subscribe("a/#") as messages:
            began = trio.current_time()
            assert len(await taken(RetainedMessages(client, messages, 0.0))) == 1_000
            assert 1 <= trio.current_time() - began < 1.1


@pytest.mark.trio
async def test_a_long_way_to_the_broker_is_waited_for(
    memory: MemoryBroker, autojump_clock: MockClock
) -> None:
    async with memory.open_client() as client, client.subscribe("a/#") as messages:
        began = trio.current_time()
        assert await taken(RetainedMessages(client, messages, 2.0)) == []
        assert trio.current_time() - began == pytest.approx(6, abs=0.1)


@pytest.mark.trio
async def test_live_messages_do_not_put_it_off_but_retained_ones_do(
    memory: MemoryBroker, autojump_clock: MockClock
) -> None:
    everything = trio_mqtt.Subscription("a/#", retain_as_published=True)
    async with (
        memory.open_client() as client,
        client.subscribe(everything) as messages,
        trio.open_nursery() as nursery,
    ):

        async def publish() -> None:
            async with memory.open_client() as other:
                for number in itertools.count():
                    # Marked as retained, as what a slow broker sends behind others.
                    await other.publish("a", str(number), retain=number in (50, 120))
                    await trio.sleep(0.01)

        nursery.start_soon(publish)
        began = trio.current_time()
        assert await taken(RetainedMessages(client, messages, 0.0))
        assert 2.1 < trio.current_time() - began < 2.4
        nursery.cancel_scope.cancel()


@pytest.mark.trio
async def test_what_is_shown_slowly_came_in_time(
    memory: MemoryBroker, autojump_clock: MockClock
) -> None:
    async with memory.open_client() as client:
        for number in range(10):
            await client.publish(f"a/{number}", "x", retain=True)
        async with client.subscribe("a/#") as messages:
            source = RetainedMessages(client, messages, 0.0)
            for _ in range(10):
                assert len(await source.take(1)) == 1
                await trio.sleep(5)
            with pytest.raises(StopAsyncIteration):
                await source.take(1)


@pytest.mark.trio
async def test_nothing_ends_without_a_connection(
    memory: MemoryBroker, autojump_clock: MockClock
) -> None:
    class Gone:
        connected = False

    async with memory.open_client() as client, client.subscribe("a/#") as messages:
        source = RetainedMessages(Gone(), messages, 0.0)  # type: ignore[arg-type] # all it asks
        with trio.move_on_after(60) as scope:
            await source.take(1)
        assert scope.cancelled_caught


@pytest.mark.slow
@pytest.mark.parametrize("runs", ["in_process", "in_terminal"])
def test_the_commands_end_by_themselves(
    in_pipe: tuple[Program, str], request: pytest.FixtureRequest, runs: str
) -> None:
    run: Run = request.getfixturevalue(runs)
    _, url = in_pipe
    for topic in ("kept/a", "kept/b"):
        publish(url, topic, "x", retain=True)
    for options, said in (
        (("--retained-only", "-F", "%t", "-T", "kept/b"), "kept/a\n"),
        (("--remove-retained", "--dry-run"), "2 retained messages would be removed.\n"),
        (("--remove-retained", "-T", "kept/b"), "1 retained message removed.\n"),
        (("--remove-retained",), "1 retained message removed.\n"),
        (("--retained-only",), "Nothing that is retained matches kept/#.\n"),
        (("--remove-retained",), "Nothing that is retained matches kept/#.\n"),
        (("--remove-retained", "--dry-run"), "Nothing that is retained matches kept/#.\n"),
    ):
        ended = run("sub", "kept/#", *options, "-b", url)
        assert ended.code == 0
        assert said in ended.out + ended.err, options
