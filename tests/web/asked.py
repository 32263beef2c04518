"""What each operation is asked for in the tests that try all of them: one list for all ways."""

from __future__ import annotations

from trio_mqtt.administration import (
    BanName,
    BanQuery,
    ClientMessage,
    ClientName,
    ClientQuery,
    DeleteHistory,
    DeleteRetained,
    Disconnect,
    DynamicCommands,
    EventQuery,
    GiveSubscription,
    MayQuery,
    NewBan,
    NewMessage,
    OverviewQuery,
    QueueQuery,
    RemovalQuery,
    RetainedName,
    RetainedQuery,
    SeriesQuery,
    SubscriptionQuery,
    TakeSubscription,
    TopicQuery,
    TraceQuery,
    WhoQuery,
)
from trio_mqtt.history import HistoryQuery

# In an order in which each finds what it is about: a client "c" that is connected.
ASKED: dict[str, object] = {
    "overview": OverviewQuery(),
    "series": SeriesQuery(since=4e9),  # what differs each time is left out
    "publish": NewMessage(topic="kept/1", payload=b"\xff\x00", retain=True, expiry_interval=9_999),
    "clients": ClientQuery(search="c", connected=True, limit=5),
    "client": ClientName(client_id="c"),
    "give_subscription": GiveSubscription(client_id="c", topic_filter="given/#", qos=1),
    "subscriptions": SubscriptionQuery(topic="given/1"),
    "who": WhoQuery(topic="given/1", qos=1),
    "may": MayQuery(client_id="c", action="publish", topic="$SYS/no"),
    "queue": QueueQuery(client_id="c", offset=1_000),
    "send_to_client": ClientMessage(client_id="c", topic="given/2", payload=b"you", qos=1),
    "take_subscription": TakeSubscription(client_id="c", topic_filter="given/#"),
    "retained": RetainedQuery(topic_filter="kept/#"),
    "retained_message": RetainedName(topic="kept/1"),
    "history": HistoryQuery(topic_filter="before/+", last=1, limit=5),
    "delete_history": DeleteHistory(topic_filter="none/#"),
    "removals": RemovalQuery(reason="asked"),
    "topics": TopicQuery(prefix="kept/"),
    "delete_retained": DeleteRetained(topic_filter="kept/#"),
    "ban": NewBan(kind="address", value="192.0.2.0/24", seconds=60, reason="a test", by="me"),
    "bans": BanQuery(kind="address"),
    "unban": BanName(kind="address", value="192.0.2.0/24"),
    "dynamic_security": DynamicCommands(commands=({"command": "listRoles"}, {"command": "?"})),
    "trace": TraceQuery(client_id="c"),
    "events": EventQuery(kinds=("ClientConnected",)),
    "disconnect": Disconnect(client_id="c", reason="a test"),
    "end_session": ClientName(client_id="c"),
}
