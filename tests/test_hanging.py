"""A test that hangs tells where its tasks wait."""

from __future__ import annotations

import trio
import trio.testing

from tests.hanging import waiting_tasks


async def wait_for_what_never_comes() -> None:
    await trio.Event().wait()


def test_each_task_is_told_with_where_it_waits() -> None:
    async def main() -> str:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait_for_what_never_comes)
            await trio.testing.wait_all_tasks_blocked()
            told = waiting_tasks()
            nursery.cancel_scope.cancel()
        return told

    assert "await trio.Event().wait()" in trio.run(main)


def test_without_a_loop_there_is_nothing_to_tell() -> None:
    assert waiting_tasks() == ""
