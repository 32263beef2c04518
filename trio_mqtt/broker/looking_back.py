"""The broker's history: what is published reaches it as a subscriber, and clients ask for it."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict, deque
from dataclasses import replace
from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.mount_points import mounted_filter, topic_below
from trio_mqtt.broker.routing.batch import Batch
from trio_mqtt.broker.routing.filters import TopicFilter
from trio_mqtt.broker.routing.published import Author
from trio_mqtt.broker.routing.target import Target
from trio_mqtt.broker.sessions.session import Session
from trio_mqtt.broker.turns import Turn
from trio_mqtt.errors import StoreError
from trio_mqtt.history.answers import (
    CONTENT_TYPE,
    ROOT,
    encode_entries,
    encode_error,
    join_entries,
    query_from,
)
from trio_mqtt.history.queries import HistoryPage, HistoryQuery, QueryError
from trio_mqtt.protocol.packets import Publish

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trio_mqtt.broker.access.permissions import Permissions
    from trio_mqtt.broker.core import Core
    from trio_mqtt.broker.elsewhere import Elsewhere
    from trio_mqtt.broker.routing.router import Router
    from trio_mqtt.history.history import History
    from trio_mqtt.history.settings import HistorySettings
    from trio_mqtt.protocol.properties import Properties

logger = logging.getLogger("trio_mqtt.history")

_ANSWER = 256 * 1024  # bytes of an answer at most
_BESIDE = 1_024  # bytes of its packet that are no payload, near enough
_LEAST = 4 * 1024  # bytes: a client that takes less than this gets no answer
_PATIENCE = 1.0  # seconds of work for one answer
_ASKED = 256  # questions that wait at most, of all clients
_ASKED_BY_ONE = 16
_LOOKED_AT_ONCE = 256  # topics that rules are asked about in a turn


class _Peer:
    """The history in the place of a session: everything of it that routing asks."""

    client_id = ROOT
    journal = None
    permissions: Permissions | None = None
    queued_messages = 0
    mount_point = ""
    sender: Sequence[None] = ()

    @property
    def key(self) -> str:
        """No client's: those have no such character."""
        return f"\0{ROOT}"

    @property
    def outlet(self) -> object | None:
        """It is always there."""
        return self


class _Recorded:
    """One filter whose messages are kept, as routing knows subscriptions."""

    def __init__(self, history: History, peer: _Peer, topic_filter: str, serial: int) -> None:
        self.session = peer
        self.topic_filter = TopicFilter(topic_filter)
        self.target = Target(self, 2, True, (), False)
        self.serial = serial
        self._take = history.take

    def offer(self, target: Target, batch: Batch) -> None:
        """Keep a batch, if there is room for it."""
        self._take(batch.content, batch.is_v5, batch.received_at, batch.size)

    def begin_sending(self) -> int:
        """Nothing of it waits for others to begin."""
        return 0

    def has_room_for(self, count: int, size: int) -> bool:
        """What has no room is counted: nobody waits for it."""
        return True


class LookingBack:
    """What ties a history to the broker: who brings messages to it, and who answers for it."""

    def __init__(self, core: Core, history: History) -> None:
        self.history = history
        self._router: Router = core.router
        self._elsewhere: Elsewhere | None = core.elsewhere
        self._statistics = core.statistics
        self._peer = _Peer()
        self._recorded: dict[str, _Recorded] = {}
        # What was asked, by who did: each has one answered in its turn.
        self._asked: OrderedDict[Session, deque[Publish]] = OrderedDict()
        self._count = 0
        self._wake = trio.Event()
        core.answer(ROOT, self)
        core.system_topics.more.append(self._topics)
        self._place(history.settings)

    # -- what is kept --------------------------------------------------------------------------

    def _place(self, settings: HistorySettings) -> None:
        """From now on what matches these filters is kept, and nothing else."""
        wanted = dict.fromkeys(settings.filters)
        for text in self._recorded.keys() - wanted.keys():
            gone = self._recorded.pop(text)
            if self._elsewhere is None:
                self._router.index.remove(gone)
            else:
                self._elsewhere.displace(gone)
        for serial, text in enumerate(wanted):
            if text not in self._recorded:
                self._recorded[text] = new = _Recorded(self.history, self._peer, text, serial)
                if self._elsewhere is None:
                    self._router.index.add(new)
                else:
                    self._elsewhere.place(new)

    def has_place_of(self, settings: HistorySettings) -> bool:
        """Whether what these say goes into the file that there is."""
        return settings.path == self.history.settings.path

    def keep_to(self, settings: HistorySettings) -> None:
        """From now on these say what is kept, and how long."""
        self.history.keep_to(settings)
        self._place(settings)

    def _topics(self) -> Sequence[tuple[str, str]]:
        """Names below `$SYS/broker/`, and their values now."""
        statistics = self._statistics
        return (
            ("history/messages/kept", str(statistics.history_kept)),
            ("history/messages/lost", str(statistics.history_lost)),
        )

    # -- what is asked -------------------------------------------------------------------------

    def ask(self, sender: Author, message: Publish) -> bool:
        """Take a question, which is answered later, and in its turn."""
        if not isinstance(sender, Session) or "response_topic" not in message.properties:
            return False
        waiting = self._asked.get(sender)
        if self._count >= _ASKED or (waiting is not None and len(waiting) >= _ASKED_BY_ONE):
            self._deliver(
                sender, message, encode_error("Too many questions wait: ask again later.")
            )
            return True
        if waiting is None:
            self._asked[sender] = waiting = deque()
        waiting.append(message)
        self._count += 1
        self._wake.set()
        return True

    async def run(self) -> None:
        """Answer what was asked, one question of each client in turn, until cancelled."""
        while True:
            while self._asked:
                session, waiting = self._asked.popitem(last=False)
                message = waiting.popleft()
                self._count -= 1
                if waiting:
                    self._asked[session] = waiting
                if session.outlet is not None:  # else nobody waits for it any more
                    self._deliver(session, message, await self._answered(session, message))
            self._wake = trio.Event()
            await self._wake.wait()

    async def _answered(self, session: Session, message: Publish) -> bytes:
        """The answer to a question."""
        try:
            return await self._answer(session, message)
        except (QueryError, StoreError) as error:
            return encode_error(str(error))
        except Exception:  # a defect that must not reach the others
            logger.exception("A question of %r could not be answered", session.client_id)
            return encode_error("The broker has met a defect, which its log tells of.")

    async def _answer(self, session: Session, message: Publish) -> bytes:
        room = _ANSWER
        outlet = session.outlet
        if outlet is not None and outlet.maximum_packet_size is not None:
            room = min(room, outlet.maximum_packet_size - _BESIDE)
        if room < _LEAST:
            raise QueryError("The maximum packet size of this client leaves no room for an answer.")
        # In JSON it is twice as long at most, but for the rarest.
        query = query_from(message.topic, message.payload, time.time(), room // 2)
        if session.mount_point:
            topic_filter = mounted_filter(session.mount_point, query.topic_filter)
            if topic_filter is None:
                raise QueryError("This filter is longer than one may be.")
            query = replace(query, topic_filter=topic_filter)
        topics = await self._readable(session, query)
        while True:
            page = await self.history.read(query, topics=topics, patience=_PATIENCE)
            page_below = _below(session.mount_point, page)
            answer = await _encoded(page_below, has_points=query.every is not None)
            if len(answer) <= room:
                return answer
            if len(page.messages) + len(page.points) <= 1:
                raise QueryError(
                    f"A message of {page.messages[0].topic!r} is longer than an answer may be."
                    if page.messages
                    else "A point is longer than an answer may be."
                )
            query = replace(query, limit=max(1, (len(page.messages) + len(page.points)) // 2))

    async def _readable(self, session: Session, query: HistoryQuery) -> set[str] | None:
        """The topics that its client may read of those that are asked for; None: all of them."""
        permissions = session.permissions
        if permissions is None:
            return None
        if not permissions.may_subscribe(query.topic_filter):
            raise QueryError("You may not read what this filter matches.")
        found = set()
        for number, topic in enumerate(await self.history.topics(query.topic_filter), 1):
            if permissions.may_receive(topic):
                found.add(topic)
            if not number % _LOOKED_AT_ONCE:
                await trio.lowlevel.checkpoint()
        return found

    def _deliver(self, session: Session, question: Publish, answer: bytes) -> None:
        """Give an answer to who has asked, as its own subscriptions say, and to nobody else."""
        asked = question.properties
        properties: Properties = {"content_type": CONTENT_TYPE, "payload_format_indicator": 1}
        if "correlation_data" in asked:
            properties["correlation_data"] = asked["correlation_data"]
        topic = asked["response_topic"]  # pyright: ignore[reportTypedDictNotRequiredAccess]
        message = Publish(topic, answer, question.qos, properties=properties)
        batch = Batch([message], received_at=trio.current_time())
        self._router.pass_on([batch], session)


async def _encoded(page: HistoryPage, *, has_points: bool) -> bytes:
    """A page as an answer, with the others' turns in between: it may have thousands of messages."""
    turn = Turn()
    entries: list[bytes] = []
    for one in encode_entries(page, has_points=has_points):
        entries.append(one)
        if turn.is_over:
            await turn.give_way()
    return join_entries(entries, page, has_points=has_points)


def _below(mount_point: str, page: HistoryPage) -> HistoryPage:
    """A page by the client's names of topics."""
    if not mount_point:
        return page
    return replace(
        page,
        messages=tuple(
            one._replace(topic=topic_below(mount_point, one.topic) or one.topic)
            for one in page.messages
        ),
        points=tuple(
            replace(one, topic=topic_below(mount_point, one.topic) or one.topic)
            for one in page.points
        ),
    )
