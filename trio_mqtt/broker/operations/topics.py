"""The topics of retained messages as a tree, level by level."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.operations.forms.topics import TopicLevel, TopicPage, TopicQuery
from trio_mqtt.broker.operations.turns import made, ordered
from trio_mqtt.broker.turns import ShortTurn

if TYPE_CHECKING:
    from trio_mqtt.broker.core import Core

_AT_ONCE = 16  # topics between two looks at the clock


class TopicTree:
    """The tree of one broker."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def topics(self, asked: TopicQuery) -> TopicPage:
        start = len(asked.prefix)
        search = asked.search.casefold()
        below: dict[str, int] = {}
        ends: set[str] = set()
        turn = ShortTurn()
        for number, kept in enumerate(self._core.retained.search(f"{asked.prefix}#")):
            if kept is not None:
                topic = kept.message.topic
                # The level above matches, too (MQTT 5.0 §4.7.1.2).
                if len(topic) >= start and (not search or search in topic.casefold()):
                    level, slash, _ = topic[start:].partition("/")
                    below[level] = below.get(level, 0) + bool(slash)
                    if not slash:
                        ends.add(level)
            if not number % _AT_ONCE and turn.is_over:
                await turn.give_way()
        await trio.lowlevel.checkpoint()

        def view(level: str) -> TopicLevel:
            return TopicLevel(
                level=level,
                topic=asked.prefix + level,
                below=below[level],
                retained=level in ends,
            )

        some = await ordered(list(below), str, asked)
        return TopicPage(items=await made(some, view), total=len(below))
