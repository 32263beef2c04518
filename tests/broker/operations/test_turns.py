"""What is sorted in turns comes in the order that sorting at once has; others have their turns."""

from __future__ import annotations

import pytest
import trio

from trio_mqtt.broker import turns
from trio_mqtt.broker.operations.forms.pages import PageQuery
from trio_mqtt.broker.operations.turns import ordered


def _key(item: tuple[int, int]) -> int:
    return item[0]


async def test_each_part_is_that_of_the_sorted_list() -> None:
    for count in (0, 1, 255, 256, 257, 3_000):
        # Many are alike, and stay in the order that they had.
        items = [(number * 7_919 % 51, number) for number in range(count)]
        for descending in (False, True):
            expected = sorted(items, key=_key, reverse=descending)
            for offset, limit in ((0, 1), (0, 100), (200, 100), (2_500, 1_000), (10**30, 7)):
                query = PageQuery(offset=offset, limit=limit)
                part = await ordered(items, _key, query, descending=descending)
                assert part == expected[offset : offset + limit]


async def test_others_have_their_turns_while_much_is_sorted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks = most = 0

    def key(item: int) -> int:
        nonlocal looks, most
        looks += 1
        most = max(most, looks)
        return -item

    async def be_another() -> None:
        nonlocal looks
        while True:
            looks = 0
            await trio.lowlevel.checkpoint()

    # Each look at an item takes 10 microseconds, so that a turn has time for 100.
    monkeypatch.setattr(turns, "clock", lambda: looks * 1e-5)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(be_another)
        part = await ordered(range(10_000), key, PageQuery(offset=9_000, limit=1_000))
        nursery.cancel_scope.cancel()
    assert part == list(range(999, -1, -1))
    assert 0 < most < 1_000
