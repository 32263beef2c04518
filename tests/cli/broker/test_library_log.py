"""What the library logs reaches the person, from any thread and in any amount."""

from __future__ import annotations

import logging

import trio
from tmqtt.broker.library_log import REFUSALS, Notice, library_log

logger = logging.getLogger("trio_mqtt.broker")


def test_what_is_logged_is_kept_until_it_is_taken() -> None:
    with library_log() as log:
        logger.info("not of interest")
        logger.warning("may be %s", "wrong")
        try:
            raise ValueError("x")
        except ValueError:
            logger.exception("A hook failed")
        refusals = logging.getLogger(REFUSALS)
        refusals.warning("c may not publish", extra={"action": "publish", "client_id": "c"})
        refusals.warning("c may not connect", extra={"action": "connect"})  # an event tells it
        assert log.take() == [
            Notice("may be wrong"),
            Notice("A hook failed: ValueError('x')", logging.ERROR),
            Notice("c may not publish", is_refusal=True, client_id="c"),
        ]
        assert log.take() == []
    logger.warning("nobody listens any more")
    assert log.take() == []


def test_a_flood_is_counted() -> None:
    with library_log() as log:
        for number in range(1_500):
            logger.warning("%d", number)
        texts = [notice.text for notice in log.take()]
        assert texts == [
            *(str(number) for number in range(200)),
            "1,300 more were logged than can be shown.",
        ]
        assert log.take() == []


def test_threads_may_log_while_the_loop_takes() -> None:
    taken: list[Notice] = []

    def flood(name: int) -> None:
        for number in range(1_000):
            logger.warning("%d %d", name, number)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for name in range(4):
                nursery.start_soon(trio.to_thread.run_sync, flood, name)
            while nursery.child_tasks:
                taken.extend(log.take())
                await trio.lowlevel.checkpoint()

    with library_log() as log:
        trio.run(main)
        taken.extend(log.take())
    told = [notice.text for notice in taken if "more were" not in notice.text]
    missed = [int(notice.text.split()[0].replace(",", "")) for notice in taken
              if "more were" in notice.text]  # fmt: skip
    assert len(set(told)) == len(told)
    assert len(told) + sum(missed) == 4_000
