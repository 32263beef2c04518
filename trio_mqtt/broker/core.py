"""What all connections of a broker share, and how a message goes through it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.access.authorship import Authorship
from trio_mqtt.broker.access.bans import Bans
from trio_mqtt.broker.access.in_force import AccessInForce
from trio_mqtt.broker.access.password_checks import PasswordChecks
from trio_mqtt.broker.access.refusals import RefusalLog, RefusedAction
from trio_mqtt.broker.access.security import Security
from trio_mqtt.broker.answering import CONTROL, Answerer, without_commands
from trio_mqtt.broker.event_topics import EventTopics
from trio_mqtt.broker.events.fan_out import EventStreams
from trio_mqtt.broker.events.kinds import MessagePublished, MessageRefused, RetainedChanged
from trio_mqtt.broker.holding_off import HoldingOff
from trio_mqtt.broker.journal import Journal
from trio_mqtt.broker.load import Load
from trio_mqtt.broker.memory import Memory
from trio_mqtt.broker.options import BrokerOptions
from trio_mqtt.broker.routing.published import OneMessage
from trio_mqtt.broker.routing.retained import RetainedMessages
from trio_mqtt.broker.routing.retained_search import RetainedSearch
from trio_mqtt.broker.routing.router import Router
from trio_mqtt.broker.routing.timed_batch import TimedBatch
from trio_mqtt.broker.samples import Samples
from trio_mqtt.broker.sessions.registry import Sessions
from trio_mqtt.broker.sessions.room import SessionRoom
from trio_mqtt.broker.sessions.subscriptions import Subscriptions
from trio_mqtt.broker.sessions.wildcard_paths import WildcardPaths
from trio_mqtt.broker.sessions.will_room import WillRoom
from trio_mqtt.broker.sessions.wills import Wills
from trio_mqtt.broker.settings import LimitsInForce, OptionsInForce, Settings
from trio_mqtt.broker.statistics import Statistics
from trio_mqtt.broker.successors import Successors
from trio_mqtt.broker.system_topics import ROOT, SystemTopics
from trio_mqtt.broker.timers import Timers
from trio_mqtt.broker.turns import InTurns
from trio_mqtt.protocol.reason_codes import ReasonCode

if TYPE_CHECKING:
    from trio_mqtt.broker.access.permissions import RulesInForce
    from trio_mqtt.broker.elsewhere import Elsewhere
    from trio_mqtt.broker.limits import Limits
    from trio_mqtt.broker.routing.batch import Batch
    from trio_mqtt.broker.routing.published import Author
    from trio_mqtt.broker.sessions.session import Session
    from trio_mqtt.broker.timing import Timing
    from trio_mqtt.broker.traces import PacketFollower
    from trio_mqtt.protocol.packets import Publish, PublishRun
    from trio_mqtt.storage.rows import Storage

# What a message is answered with that the access rules refuse.
NOT_PERMITTED = ReasonCode.NOT_AUTHORIZED, "the client may not publish to this topic"
# Why nobody may publish to a topic that makes clients leave which receive it (MQTT 5.0 §1.5.4).
DISALLOWED = "this broker takes no topics with control characters or what is no character"
_SWEEP = 30.0  # seconds between two looks for retained messages that have expired


class Core:
    """The parts of one broker, and the one home of how a message is routed and kept."""

    def __init__(
        self,
        limits: Limits,
        options: BrokerOptions | None = None,
        *,
        security: Security | None = None,
        storage: Storage | None = None,
        journal: Journal | None = None,
    ) -> None:
        """Without a `journal` of its own it has one where there is a `storage`."""
        # All parts see the limits here, and so those that they become.
        self.limits = limits = LimitsInForce.of(limits)
        self.options = in_force = OptionsInForce.of(options or BrokerOptions())
        # What must outlive the broker goes there; None where nothing does.
        self.journal = journal if storage is None else Journal(storage)
        # The other brokers of a cluster; None without.
        self.elsewhere: Elsewhere | None = None
        self.statistics = Statistics()
        self.timers = Timers()
        self.event_streams = EventStreams(self.timers)
        self.router = Router(limits, self.statistics, in_force)
        # By the first level of their topics, who answers what clients publish to the broker itself.
        self.answerers: dict[str, Answerer] = {}
        self.retained = RetainedMessages(limits)
        self.holding_off = HoldingOff(limits, self.statistics, self.timers)
        self.bans = Bans()
        self._began = time.monotonic()
        self.memory = Memory(limits.maximum_unfinished_bytes)
        self.access = AccessInForce(
            security or Security(),
            limits,
            RefusalLog(self.timers),
            PasswordChecks(limits),
            self.statistics,
        )
        # What holds for clients that come by no listener, and for those of each, by its URL.
        self.settings = Settings(limits, options or BrokerOptions(), self.access)
        self.listeners: dict[str, Settings] = {}
        paths = WildcardPaths(limits)
        self.subscriptions = Subscriptions(
            limits, self.statistics, self.router, self.event_streams, paths
        )
        self.samples = Samples(self.statistics, self.retained.__len__)
        self.load = Load(limits, self.statistics, self.timers, self._held, self._heed)
        self.wills = Wills(self.statistics, self.event_streams, self.route, self.count_refused)
        self.will_room = WillRoom(limits, self.statistics)
        self.sessions = Sessions(
            self.statistics,
            self.timers,
            self.router.index,
            self.subscriptions,
            self.wills,
            SessionRoom(limits, in_force, paths, self.will_room),
            self.journal,
            self.event_streams,
            in_force,
        )
        self.system_topics = SystemTopics(
            in_force,
            self.statistics,
            self.timers,
            self.router,
            self.retained,
            self.sessions,
        )
        self.event_topics = EventTopics(
            in_force, self.timers, self.router, self.event_streams.kinds_changed
        )
        self.event_streams.add(self.event_topics)
        # Whoever looks for retained messages does so for one turn, then it is the next one's.
        self._searching = trio.Lock()
        # What is timed, while somebody asks for it.
        self.timing: Timing | None = None
        # Who traces a client, by the key of its session; mostly nobody does.
        self.traces = 0  # how many there are, of clients and topics
        self.traced: dict[str, list[PacketFollower]] = {}
        self.successors = Successors()
        # Who is connected, and may no longer be as it was, is looked at there.
        self.checks = InTurns()
        # For tasks that outlive the connection they serve, while the broker runs.
        self.tasks: trio.Nursery | None = None

    @property
    def uptime(self) -> float:
        """For how many seconds it has run."""
        return time.monotonic() - self._began

    def keep_to(self, settings: Settings) -> None:
        """From now on these are the limits and options, for all parts and for who comes next."""
        limits, options = settings.limits, settings.options
        self.settings.become(settings)
        self.options.become(options)
        self.router.index.forget()
        self.memory.bound(limits.maximum_unfinished_bytes)
        self.access.password_checks.threads_changed()
        self.system_topics.interval_changed()
        self.event_topics.look()

    def join(self, elsewhere: Elsewhere) -> None:
        """From now on the broker belongs to a cluster: all parts that must know of it do."""
        self.elsewhere = self.subscriptions.elsewhere = elsewhere

    def answer(self, first_level: str, answerer: Answerer) -> None:
        """From now on `answerer` has what clients publish to `$…`, or to topics below that."""
        self.answerers[first_level] = answerer
        self.router.answer = self._answer

    def _answer(self, sender: Author, message: Publish) -> bool:
        answerer = self.answerers.get(message.topic.partition("/")[0])
        return answerer is not None and answerer.ask(sender, message)

    def all_access(self) -> list[AccessInForce]:
        """The access of the broker, and of each listener that has its own."""
        own = (settings.access for settings in self.listeners.values())
        return list(dict.fromkeys((self.access, *own)))

    def rules_at(self, url: str) -> RulesInForce:
        """The rules for clients that come by a listener, or by one that is gone."""
        return self.listeners.get(url, self.settings).access.rules

    # -- messages -------------------------------------------------------------------------------

    def route(self, batch: Batch, retained: Sequence[Publish] = ()) -> Sequence[Publish]:
        """Hand messages to all whom they reach; return those that reach nobody.

        `retained` are those of the messages that are to be kept.
        """
        self.statistics.messages_received += batch.count
        wanted = self.event_streams.wanted
        if wanted and MessagePublished in wanted:
            sender = batch.sender
            told = batch if CONTROL not in self.answerers else without_commands(batch)
            if told is not None:
                self.event_streams.published(None if sender is None else sender.client_id, told)
        for message in retained:
            if batch.sender is None or not self.router.index.is_reserved(message.topic):
                permissions = None if batch.sender is None else batch.sender.permissions
                author = None if permissions is None else Authorship.of(permissions)
                had = self.journal is not None and self.retained.has(message.topic)
                key = None if batch.sender is None else batch.sender.key
                stored = self.retained.store(message, batch.received_at, author, key)
                if not stored:
                    self.statistics.messages_dropped += 1
                    self.statistics.retained_refused += 1
                has = stored and bool(message.payload)
                # Who removes what is not there is promised nothing.
                if self.journal is not None and (had or has):
                    self._keep_retained(message, batch.received_at, author, had=had, has=has)
                if RetainedChanged in wanted:
                    removed = not stored or not message.payload
                    self.event_streams.tell(RetainedChanged(message.topic, removed))
        timing = self.timing
        if timing is not None:
            timing.left -= 1  # here, as a call for each batch would cost as much as all the rest
            if timing.left <= 0:
                timing.left = timing.every
                batch = TimedBatch(batch, timing.delivered)
        return self.router.publish(batch)

    def route_alone(self, message: Publish, sender: Session, is_v5: bool, now: float) -> bool:
        """As `route`, of a message without RETAIN that a client sent alone, in few steps.

        False where these do not suffice: then nothing is done.
        """
        match = self.router.direct(message)
        if match is None:
            return False
        timing = self.timing
        delivered = None
        if timing is not None:
            timing.left -= 1
            if timing.left <= 0:
                timing.left = timing.every
                delivered = timing.delivered
        self.statistics.messages_received += 1
        event_streams = self.event_streams
        if MessagePublished in event_streams.wanted:
            event_streams.published(sender.client_id, OneMessage(message))
        self.router.publish_alone(match, message, sender, is_v5, now, delivered)
        return True

    def _keep_retained(
        self, message: Publish, at: float, author: Authorship | None, *, had: bool, has: bool
    ) -> None:
        """Have the retained message of a topic, or that there is none, outlive the broker."""
        if self.journal is None:
            return
        if has:
            text = None if author is None else author.text
            self.journal.retained(message, at, text, is_first=not had)
        else:
            self.journal.no_longer_retained(message.topic)

    def count_refused(
        self,
        session: Session,
        messages: Sequence[Publish] | PublishRun,
        action: RefusedAction = "publish",
    ) -> None:
        """A client published what it may not: the messages go nowhere."""
        self.statistics.messages_received += len(messages)
        self.statistics.messages_dropped += len(messages)
        if session.permissions is not None:
            session.permissions.tell_refused(action, messages)
        if MessageRefused in self.event_streams.wanted:
            for message in messages if isinstance(messages, Sequence) else messages.messages:
                self.event_streams.tell(
                    MessageRefused(session.client_id, message.topic, NOT_PERMITTED[1], True)
                )

    def reason_for(self, message: Publish) -> tuple[ReasonCode, str]:
        """The reason for a client's message that reached nobody (§3.4.2.1); words if it failed."""
        reserved = self.reserved_because(message.topic)
        if reserved == DISALLOWED:
            return ReasonCode.TOPIC_NAME_INVALID, reserved
        if reserved:
            return ReasonCode.NOT_AUTHORIZED, reserved
        return ReasonCode.NO_MATCHING_SUBSCRIBERS, ""

    def reserved_because(self, topic: str) -> str:
        """Why no client may publish to a topic; empty if there is nothing against the topic."""
        if topic[0] == "$":
            return "topics that begin with $ are the broker's own"
        too_long = self.too_long(topic)
        if too_long is None and self.router.index.is_reserved(topic):
            return DISALLOWED
        return too_long or ""

    def too_long(self, topic: str) -> str | None:
        """Why a topic or filter is refused that is too long or deep; None if it is not."""
        limits = self.limits
        if len(topic) > limits.maximum_topic_length:
            return f"this broker takes topics of {limits.maximum_topic_length} characters at most"
        if topic.count("/") >= limits.maximum_topic_levels:
            return f"this broker takes topics of {limits.maximum_topic_levels} levels at most"
        return None

    def search_retained(self, topic_filter: str) -> RetainedSearch:
        """The retained messages for a new subscription, as they are now."""
        after = None
        if self.elsewhere is None:
            found = self.retained.search(topic_filter, trio.current_time())
        else:
            # As they are once this node knows all that others have acknowledged.
            after = self.elsewhere.caught_up()
            found = chain.from_iterable(
                self.retained.search(one, trio.current_time()) for one in (topic_filter,)
            )
        if topic_filter.startswith(ROOT):
            found = chain(self.system_topics.search(topic_filter), found)
        return RetainedSearch(found, self.rules_at, self.statistics, self._searching, after)

    # -- time -----------------------------------------------------------------------------------

    async def run_timers(self) -> None:
        """Do what is due: keep alives, expiries, delayed wills."""
        self._sweep()
        self.system_topics.begin()
        self.event_topics.look()
        self.load.begin()
        await self.timers.run()

    def _sweep(self) -> None:
        self.event_streams.log.look()
        for topic in self.retained.expire(trio.current_time()):
            if self.journal is not None:
                self.journal.retained_expired(topic)
        if self.journal is not None:
            self.journal.follow_clock()
        self.timers.after(_SWEEP, self._sweep)

    def _heed(self, load: Load) -> None:
        """The broker has been looked at: what takes more memory spares it, if it must."""
        self.subscriptions.may_grow(load.room / 2)
        self.retained.may_grow(load.room / 2)
        self.samples.look()

    def _held(self) -> int:
        """The bytes that clients make the broker hold, near enough for a bound."""
        statistics = self.statistics
        held = statistics.queued_bytes + statistics.will_bytes
        return held + self.retained.bytes + self.memory.unfinished

    def end(self) -> None:
        """All connections have ended: nothing more will happen."""
        self.event_streams.end()
        self.access.refusals.close()
