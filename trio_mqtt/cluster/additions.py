"""What a node adds to logs with one group of its journal, in entries as they go to the engine."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from trio_mqtt.cluster.engine.calls import EngineRefusedError
from trio_mqtt.cluster.entries import encode_entry
from trio_mqtt.cluster.items import SOURCE, encode_numbered
from trio_mqtt.cluster.log_entries import LOGGED, encode_logged
from trio_mqtt.cluster.logs import Appended, Publisher

if TYPE_CHECKING:
    from trio_mqtt.cluster.engine.calls import Call, Reply
    from trio_mqtt.cluster.logs import Logs


logger = logging.getLogger("trio_mqtt.cluster")


@dataclass(eq=False)
class Left:
    """What a session has left for the other members of shared subscriptions, as it went.

    `fields` are those by which it had the messages, by the shared filter: as long as they stand
    there, too, the log says that they are over.
    """

    number: int
    key: str
    fields: dict[str, list[bytes]] = field(default_factory=dict)


class Addition(NamedTuple):
    """A batch that is to be in logs: its bytes, and `batch`, whatever that is for who is told.

    Its messages have numbers from `first` on. `publisher` has those of QoS 2 that must not come
    twice, as `identity` names them. `left` is said of what a session had before.
    """

    filters: Sequence[str]
    first: int
    messages: int
    data: bytes
    batch: object
    publisher: Publisher | None = None
    left: Left | None = None


class Added(NamedTuple):
    """An entry of a log, and of which batches it is: numbers, the other logs, the batch itself."""

    node: str
    topic_filter: str
    number: int
    data: bytes
    messages: int
    publisher: Publisher | None
    parts: Sequence[tuple[int, tuple[str, ...], object]]
    left: Sequence[Left] = ()


class Additions:
    """Makes entries of what is to be added, the calls that add them, and tells what was added."""

    def __init__(self, logs: Logs) -> None:
        self._logs = logs
        self.node = ""
        """Which node this process is. What it made as another stays that one's."""
        self._number = 0  # of the last entry that this node made

    def entries(self, additions: Sequence[Addition]) -> list[Added]:
        """What is to be added, for each log in its order: as few entries as that can be."""
        together: dict[tuple[str, str | None], list[Addition]] = {}
        entries: list[Added] = []
        for one in additions:
            publisher = one.publisher
            client = None if publisher is None else publisher.client
            for topic_filter in one.filters:
                key = topic_filter, client
                before = together.get(key)
                if publisher is not None and publisher.is_known:
                    # What is perhaps there already is looked up by itself.
                    if before is not None:
                        entries.append(self._entry(topic_filter, together.pop(key)))
                    entries.append(self._entry(topic_filter, [one]))
                elif before is None:
                    together[key] = [one]
                else:
                    before.append(one)
        for (topic_filter, _), its_additions in together.items():
            entries.append(self._entry(topic_filter, its_additions))
        return entries

    def _entry(self, topic_filter: str, additions: Sequence[Addition]) -> Added:
        """An entry; all of it is of one publisher that must not come twice, or of none."""
        self._number += 1
        items = [(SOURCE, encode_numbered(self.node, self._number))]
        parts: list[tuple[int, tuple[str, ...], object]] = []
        publisher: Publisher | None = None
        left: dict[Left, None] = {}
        count = 0
        for one in additions:
            others: tuple[str, ...] = ()
            if len(one.filters) > 1:
                others = tuple(other for other in one.filters if other != topic_filter)
            items.append((LOGGED, encode_logged(one.first, others, one.data)))
            parts.append((one.first, others, one.batch))
            count += one.messages
            if one.left is not None:
                left[one.left] = None
            if one.publisher is not None:
                names = [] if publisher is None else publisher.messages
                publisher = replace(one.publisher, messages=[*names, *one.publisher.messages])
        data = encode_entry(items)
        return Added(
            self.node, topic_filter, self._number, data, count, publisher, parts, tuple(left)
        )

    def calls(self, entries: Sequence[Added]) -> list[Call]:
        """The calls that add entries. Raises EngineFencedError where this node has no lease."""
        return [
            self._logs.append(
                one.node,
                one.topic_filter,
                one.number,
                one.data,
                one.messages,
                one.publisher,
                {by.key: by.fields.get(one.topic_filter, ()) for by in one.left},
            )
            for one in entries
        ]

    def forget_left(self, left: Iterable[tuple[str, str]]) -> list[Call]:
        """The calls after which logs do not say any more what sessions have left, by filter and
        key: these say it themselves. Raises EngineFencedError where this node has no lease.
        """
        return [self._logs.forget_left(topic_filter, key) for topic_filter, key in left]

    async def mended(
        self, entries: Sequence[Added], replies: Sequence[Reply | EngineRefusedError]
    ) -> list[Reply | EngineRefusedError]:
        """What came of entries, where logs that are none are put aside first, and begun anew.

        One that somebody has written over holds back nothing that is in others' logs.
        """
        answers = list(replies)
        for at, (one, reply) in enumerate(zip(entries, replies, strict=True)):
            if isinstance(reply, EngineRefusedError) and reply.is_wrong_kind:
                for key in await self._logs.mend(one.topic_filter):
                    logger.error(
                        "What the engine has as %s was written there by somebody else. It was put"
                        " aside as %s:aside, and what is for the topic filter %r is kept anew.",
                        key,
                        key,
                        one.topic_filter,
                    )
                (answers[at],) = await self._logs.call_all(self.calls([one]))
        return answers

    def added(self, reply: Reply) -> Appended:
        """What came of an entry."""
        return self._logs.appended(reply)
