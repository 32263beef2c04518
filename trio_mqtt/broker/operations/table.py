"""All operations, in one table: who may ask for each, with what, and what it answers.

From it the HTTP API, its description, its roles and their tests are made: an operation that is not
here can be asked for in no way, and one that is here in all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

from trio_mqtt.attribute_docs import with_attribute_docs
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
from trio_mqtt.broker.operations.forms.tracing import EventQuery, TraceEntry, TraceQuery
from trio_mqtt.history.queries import HistoryQuery


class Role(IntEnum):
    """What somebody may do who runs a broker: each may do what those before it may, and more."""

    SEE = 1
    """Look at all there is, what messages say among it."""
    OPERATE = 2
    """Disconnect clients, end sessions, publish, and remove retained messages."""
    ADMINISTRATE = 3
    """Decide who may connect, and what clients subscribe to."""


@with_attribute_docs
@dataclass(frozen=True, kw_only=True)
class Operation:
    """Something that can be asked of a running broker."""

    name: str
    """Its name: that of the method of `Administration`."""
    role: Role
    """Who may ask for it."""
    method: Literal["GET", "POST", "DELETE"]
    """By which method of HTTP."""
    path: str
    """At which path, below /api/v1. What it is asked with are parameters of the query, or, by POST,
    the JSON in the body."""
    asked: type
    """What it is asked with."""
    answer: type
    """What it answers."""
    summary: str
    """What it does, in a sentence."""
    streams: bool = False
    """Whether it answers one after the other, as long as somebody listens."""

    @property
    def changes(self) -> bool:
        """Whether it changes anything."""
        return self.method != "GET"


def _see(name: str, path: str, asked: type, answer: type, summary: str) -> Operation:
    return Operation(
        name=name, role=Role.SEE, method="GET", path=path, asked=asked, answer=answer,
        summary=summary,
    )  # fmt: skip


def _stream(name: str, path: str, asked: type, answer: type, summary: str) -> Operation:
    return Operation(
        name=name, role=Role.SEE, method="GET", path=path, asked=asked, answer=answer,
        summary=summary, streams=True,
    )  # fmt: skip


def _change(
    name: str,
    role: Role,
    method: Literal["POST", "DELETE"],
    path: str,
    asked: type,
    answer: type,
    summary: str,
) -> Operation:
    return Operation(
        name=name, role=role, method=method, path=path, asked=asked, answer=answer, summary=summary
    )


OPERATIONS: Sequence[Operation] = (
    _see("overview", "/overview", OverviewQuery, Overview, "How the broker is."),
    _see("series", "/overview/series", SeriesQuery, Series, "How it was in the last hour."),
    _see("clients", "/clients", ClientQuery, ClientPage, "Clients, connected and away."),
    _see("client", "/client", ClientName, ClientView, "One client."),
    _see("queue", "/session/queue", QueueQuery, QueuePage, "What is on its way to a client."),
    _see(
        "subscriptions",
        "/subscriptions",
        SubscriptionQuery,
        SubscriptionPage,
        "Subscriptions of all clients.",
    ),
    _see("retained", "/retained", RetainedQuery, RetainedPage, "Retained messages."),
    _see(
        "retained_message", "/retained/message", RetainedName, RetainedView, "One retained message."
    ),
    _see("topics", "/topics", TopicQuery, TopicPage, "Topics of retained messages, as a tree."),
    _see("history", "/history", HistoryQuery, HistoryView, "What came on topics, as it was kept."),
    _see(
        "removals",
        "/history/removals",
        RemovalQuery,
        RemovalPage,
        "What was removed of the history, or never kept.",
    ),
    _see("bans", "/bans", BanQuery, BanPage, "Who may not connect."),
    _see("who", "/who", WhoQuery, WhoAnswer, "Whom a message would reach."),
    _see("may", "/may", MayQuery, MayAnswer, "Whether a client may do something, and why."),
    _stream("trace", "/trace", TraceQuery, TraceEntry, "Packets of a client, or of a topic."),
    _stream("events", "/events", EventQuery, dict, "What happens."),
    _change(
        "disconnect",
        Role.OPERATE,
        "POST",
        "/client/disconnect",
        Disconnect,
        Done,
        "Disconnect a client.",
    ),
    _change(
        "end_session",
        Role.OPERATE,
        "DELETE",
        "/session",
        ClientName,
        Done,
        "End a session, with all that waits in it.",
    ),
    _change("publish", Role.OPERATE, "POST", "/messages", NewMessage, Done, "Publish a message."),
    _change(
        "send_to_client",
        Role.OPERATE,
        "POST",
        "/client/messages",
        ClientMessage,
        Done,
        "Send a message to one client alone.",
    ),
    _change(
        "delete_retained",
        Role.OPERATE,
        "DELETE",
        "/retained",
        DeleteRetained,
        Removed,
        "Remove retained messages.",
    ),
    _change(
        "delete_history",
        Role.OPERATE,
        "DELETE",
        "/history",
        DeleteHistory,
        Removed,
        "Remove messages of the history.",
    ),
    _change("ban", Role.ADMINISTRATE, "POST", "/bans", NewBan, Banned, "Ban somebody."),
    _change(
        "dynamic_security",
        Role.ADMINISTRATE,
        "POST",
        "/dynamic-security",
        DynamicCommands,
        DynamicAnswers,
        "Ask for users, groups and roles, and change them.",
    ),
    _change("unban", Role.ADMINISTRATE, "DELETE", "/bans", BanName, Done, "Lift a ban."),
    _change(
        "give_subscription",
        Role.ADMINISTRATE,
        "POST",
        "/client/subscriptions",
        GiveSubscription,
        Done,
        "Give a client a subscription.",
    ),
    _change(
        "take_subscription",
        Role.ADMINISTRATE,
        "DELETE",
        "/client/subscriptions",
        TakeSubscription,
        Done,
        "Take a subscription from a client.",
    ),
)
