"""What can be seen and done on a running broker, as a program sees it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

from trio_mqtt.broker.events.kinds import ChangeRequested
from trio_mqtt.broker.operations.bans import BansSeen
from trio_mqtt.broker.operations.clients import Clients
from trio_mqtt.broker.operations.explaining import Explaining
from trio_mqtt.broker.operations.forms.bans import BanName, Banned, BanPage, BanQuery, NewBan
from trio_mqtt.broker.operations.forms.clients import (
    ClientName,
    ClientPage,
    ClientQuery,
    ClientView,
    Disconnect,
)
from trio_mqtt.broker.operations.forms.dynamic import DynamicAnswers, DynamicCommands
from trio_mqtt.broker.operations.forms.explaining import MayAnswer, MayQuery, WhoAnswer, WhoQuery
from trio_mqtt.broker.operations.forms.history import (
    DeleteHistory,
    HistoryView,
    RemovalPage,
    RemovalQuery,
    view_of,
)
from trio_mqtt.broker.operations.forms.messages import ClientMessage, Done, NewMessage
from trio_mqtt.broker.operations.forms.overview import Overview, OverviewQuery
from trio_mqtt.broker.operations.forms.retained import (
    DeleteRetained,
    Removed,
    RetainedName,
    RetainedPage,
    RetainedQuery,
    RetainedView,
)
from trio_mqtt.broker.operations.forms.series import Series, SeriesQuery
from trio_mqtt.broker.operations.forms.sessions import QueuePage, QueueQuery
from trio_mqtt.broker.operations.forms.subscriptions import (
    GiveSubscription,
    SubscriptionPage,
    SubscriptionQuery,
    TakeSubscription,
)
from trio_mqtt.broker.operations.forms.topics import TopicPage, TopicQuery
from trio_mqtt.broker.operations.forms.tracing import EventQuery, TraceQuery
from trio_mqtt.broker.operations.messages import Messages
from trio_mqtt.broker.operations.overview import Overviews
from trio_mqtt.broker.operations.passwords import check_password, without_password
from trio_mqtt.broker.operations.program import ProgramMessages, ProgramSubscriptions
from trio_mqtt.broker.operations.retained import RetainedSeen
from trio_mqtt.broker.operations.sessions import SessionsSeen
from trio_mqtt.broker.operations.subscriptions import SubscriptionsSeen
from trio_mqtt.broker.operations.topics import TopicTree
from trio_mqtt.broker.operations.tracing import Trace, Tracing
from trio_mqtt.broker.operations.turns import made
from trio_mqtt.errors import NotFoundError

if TYPE_CHECKING:
    from trio_mqtt.broker.core import Core
    from trio_mqtt.broker.events.streams import EventStream
    from trio_mqtt.broker.listeners import Listeners
    from trio_mqtt.broker.operations.table import Operation
    from trio_mqtt.history.queries import HistoryPage, HistoryQuery, Removal

_PATIENCE = 2.0  # seconds of work for one page of a history


class KeepsHistory(Protocol):
    """The history of a broker, as far as it is asked."""

    async def read(self, query: HistoryQuery, *, patience: float | None = None) -> HistoryPage:
        """A page of what is asked for, which ends after so many seconds of work."""

    async def remove(self, topic_filter: str, *, until: float | None = None) -> int:
        """Remove what matches a filter and came before; how many messages that were."""

    async def removals(self) -> list[Removal]:
        """What was removed, or never kept, by day, reason and filter."""


class Administration:
    """What can be seen and done on a running broker: `Broker.administration` is that.

        page = await broker.administration.clients(ClientQuery(search="lamp", connected=True))
        await broker.administration.disconnect(Disconnect(client_id="lamp-7"))

    `trio_mqtt.administration.OPERATIONS` lists it all. Whatever goes through much does so in turns,
    between which clients are served. What names somebody or something that is not there raises
    NotFoundError, and what cannot be done LocalProtocolError. In a cluster it is about the clients
    of this node; what is published and retained, and who is banned, is the whole cluster's.
    """

    def __init__(
        self,
        core: Core,
        listeners: Listeners,
        publish: Callable[..., Awaitable[None]],
        change_dynamic: Callable[
            [Sequence[Mapping[str, object]]], Awaitable[list[dict[str, object]]]
        ],
        history: KeepsHistory | None = None,
    ) -> None:
        """`publish` and `history` are those of the broker, `change_dynamic` does commands of
        dynamic security.
        """
        self._history = history
        self._change_dynamic = change_dynamic
        self._core = core
        self._overviews = Overviews(core, listeners)
        self._clients = Clients(core)
        self._sessions = SessionsSeen(core)
        self._subscriptions = SubscriptionsSeen(core)
        self._retained = RetainedSeen(core)
        self._topics = TopicTree(core)
        self._bans = BansSeen(core, listeners.connections)
        self._messages = Messages(core, publish)
        self._explaining = Explaining(core)
        self._tracing = Tracing(core)
        self._program = ProgramSubscriptions(core)

    async def perform(self, operation: Operation, asked: Any) -> Any:  # noqa: ANN401 # as it says
        """Do what an operation of the table that does not stream is asked with; its answer."""
        return await getattr(self, operation.name)(asked)

    async def check_password(self, username: str, password: str, address: str) -> bool:
        """Whether it is the password that a user of the broker connects with; False without any.

        Who asks too often waits: the broker's bounds on passwords that are checked hold here too.
        """
        return await check_password(self._core, username, password, address)

    def without_password(self, usernames: Iterable[str]) -> list[str]:
        """Those of the users who have no password at this broker."""
        return without_password(self._core, usernames)

    def is_disabled(self, username: str) -> bool:
        """Whether dynamic security has a user disabled, who then may do nothing."""
        dynamic = self._core.access.dynamic
        return dynamic is not None and dynamic.is_disabled(username)

    def tell(self, event: ChangeRequested) -> None:
        """Tell whoever follows the broker's events that somebody has asked for a change."""
        if ChangeRequested in self._core.event_streams.wanted:
            self._core.event_streams.tell(event)

    # -- what there is --------------------------------------------------------------------------

    async def overview(self, asked: OverviewQuery | None = None) -> Overview:
        """How the broker is."""
        return await self._overviews.overview(asked or OverviewQuery())

    async def series(self, asked: SeriesQuery | None = None) -> Series:
        """How the broker was in the last hour: figures of each ten seconds."""
        return await self._overviews.series(asked or SeriesQuery())

    async def clients(self, asked: ClientQuery | None = None) -> ClientPage:
        """Clients, connected and away, by pages."""
        return await self._clients.clients(asked or ClientQuery())

    async def client(self, asked: ClientName) -> ClientView:
        """One client. From now on it is counted, for a minute, what it says and is sent."""
        return await self._clients.client(asked)

    async def queue(self, asked: QueueQuery) -> QueuePage:
        """What is on its way to a client: what is in flight, then what waits."""
        return await self._sessions.queue(asked)

    async def subscriptions(self, asked: SubscriptionQuery | None = None) -> SubscriptionPage:
        """Subscriptions of all clients, by pages."""
        return await self._subscriptions.subscriptions(asked or SubscriptionQuery())

    async def retained(self, asked: RetainedQuery | None = None) -> RetainedPage:
        """Retained messages, by pages, without their payloads."""
        return await self._retained.retained(asked or RetainedQuery())

    async def retained_message(self, asked: RetainedName) -> RetainedView:
        """One retained message, with its payload."""
        return await self._retained.retained_message(asked)

    async def topics(self, asked: TopicQuery | None = None) -> TopicPage:
        """The levels below one, of the topics that have a retained message, by pages."""
        return await self._topics.topics(asked or TopicQuery())

    async def history(self, asked: HistoryQuery) -> HistoryView:
        """What came on topics, by pages. Raises NotFoundError where nothing is kept."""
        page = await self._kept().read(asked, patience=_PATIENCE)
        messages = await made(page.messages, view_of)
        return HistoryView(messages=messages, points=page.points, next=page.next)

    async def removals(self, asked: RemovalQuery | None = None) -> RemovalPage:
        """What was removed of the history, or never kept, the latest first.

        Raises NotFoundError where nothing is kept.
        """
        asked = asked or RemovalQuery()
        found = [
            one
            for one in reversed(await self._kept().removals())
            if asked.reason in ("", one.reason)
        ]
        page = found[asked.offset : asked.offset + asked.limit]
        return RemovalPage(items=tuple(page), total=len(found))

    def _kept(self) -> KeepsHistory:
        if self._history is None:
            raise NotFoundError("This broker keeps no history.")
        return self._history

    async def bans(self, asked: BanQuery | None = None) -> BanPage:
        """Who may not connect."""
        return await self._bans.bans(asked or BanQuery())

    # -- what would be --------------------------------------------------------------------------

    async def who(self, asked: WhoQuery) -> WhoAnswer:
        """Whom a message would reach, and who subscribes to it and would not get it."""
        return await self._explaining.who(asked)

    async def may(self, asked: MayQuery) -> MayAnswer:
        """Whether a client may do something, and which rule says so."""
        return await self._explaining.may(asked)

    # -- what happens ---------------------------------------------------------------------------

    def trace(self, asked: TraceQuery) -> AbstractContextManager[Trace]:
        """See the packets of a client, or what becomes of a topic, as long as the context lasts.

        with administration.trace(TraceQuery(client_id="lamp-7")) as trace:
            async for entry in trace:
                print(entry.direction, entry.kind, entry.details)
        """
        return self._tracing.trace(asked)

    def events(self, asked: EventQuery | None = None) -> AbstractContextManager[EventStream]:
        """Follow what happens, as `Broker.events` does, by the names of events."""
        return self._tracing.follow(asked or EventQuery())

    def subscribe(
        self, *topic_filters: str, limit: int = 1_000, qos: int = 2
    ) -> AbstractContextManager[ProgramMessages]:
        """Read messages within the program, as long as the context lasts, and lose none of them.

        What is not taken holds back whoever publishes it: once `limit` messages wait, their clients
        are not read from until half of them are taken, and `Broker.publish` waits; so a task must
        not publish to itself. Messages of other nodes of a cluster, and wills, come on top. It ends
        when the broker does.

            with administration.subscribe("orders/#") as messages:
                async for message in messages:
                    await store(message.topic, message.payload)

        Raises LocalProtocolError for what is no topic filter.
        """
        return self._program.subscribe(topic_filters, limit, qos)

    # -- what is done ---------------------------------------------------------------------------

    async def disconnect(self, asked: Disconnect) -> Done:
        """Disconnect a client; its session, and its will, go on as the standard says."""
        return await self._clients.disconnect(asked)

    async def end_session(self, asked: ClientName) -> Done:
        """End a session, with all that waits in it; its client is disconnected."""
        return await self._sessions.end_session(asked)

    async def publish(self, asked: NewMessage) -> Done:
        """Publish a message, as `Broker.publish` does."""
        return await self._messages.publish(asked)

    async def send_to_client(self, asked: ClientMessage) -> Done:
        """Send a message to one client alone, whatever it has subscribed to."""
        return await self._messages.send_to_client(asked)

    async def delete_retained(self, asked: DeleteRetained) -> Removed:
        """Remove retained messages. Nobody is told but those who follow events: no message is sent.

        Returns when that is kept, where there is a storage.
        """
        return await self._retained.delete_retained(asked)

    async def delete_history(self, asked: DeleteHistory) -> Removed:
        """Remove messages of the history. What came a few seconds before others may stay with them.

        Raises NotFoundError where nothing is kept.
        """
        return Removed(count=await self._kept().remove(asked.topic_filter, until=asked.until))

    async def ban(self, asked: NewBan) -> Banned:
        """Have somebody not connect any more, and disconnect who is connected.

        With a storage it outlives the broker. This machine can be banned like any other.
        """
        return await self._bans.ban(asked)

    async def unban(self, asked: BanName) -> Done:
        """Lift a ban."""
        return await self._bans.unban(asked)

    async def dynamic_security(self, asked: DynamicCommands) -> DynamicAnswers:
        """Do commands of dynamic security, as `$CONTROL/dynamic-security/v1` takes them.

        Raises NotFoundError where there is none.
        """
        return DynamicAnswers(responses=tuple(await self._change_dynamic(asked.commands)))

    async def give_subscription(self, asked: GiveSubscription) -> Done:
        """Give a client a subscription, as if it had asked for it."""
        return await self._subscriptions.give_subscription(asked)

    async def take_subscription(self, asked: TakeSubscription) -> Done:
        """Take a subscription from a client, as if it had given it up."""
        return await self._subscriptions.take_subscription(asked)
