"""What runs, seen and steered by those that run it: a broker, and a cluster.

`Broker.administration` is an `Administration`: who is connected, what waits, what is retained, and
what is done about it. Each operation of `OPERATIONS` is one of its methods, which takes one form
and gives another.

    page = await broker.administration.clients(ClientQuery(connected=True))

A cluster is seen from outside:

async with trio_mqtt.administration.administer(cluster) as administration:
    status = await administration.status()

"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_mqtt.lazy_names import load_lazily

if TYPE_CHECKING or not load_lazily(__name__):
    from trio_mqtt.broker.access.bans import Ban as Ban
    from trio_mqtt.broker.elsewhere import ClusterView as ClusterView
    from trio_mqtt.broker.operations.administration import Administration as Administration
    from trio_mqtt.broker.operations.forms.bans import BanName as BanName
    from trio_mqtt.broker.operations.forms.bans import Banned as Banned
    from trio_mqtt.broker.operations.forms.bans import BanPage as BanPage
    from trio_mqtt.broker.operations.forms.bans import BanQuery as BanQuery
    from trio_mqtt.broker.operations.forms.bans import NewBan as NewBan
    from trio_mqtt.broker.operations.forms.clients import ClientName as ClientName
    from trio_mqtt.broker.operations.forms.clients import ClientPage as ClientPage
    from trio_mqtt.broker.operations.forms.clients import ClientQuery as ClientQuery
    from trio_mqtt.broker.operations.forms.clients import ClientView as ClientView
    from trio_mqtt.broker.operations.forms.clients import Disconnect as Disconnect
    from trio_mqtt.broker.operations.forms.clients import Rates as Rates
    from trio_mqtt.broker.operations.forms.clients import WillView as WillView
    from trio_mqtt.broker.operations.forms.dynamic import DynamicAnswers as DynamicAnswers
    from trio_mqtt.broker.operations.forms.dynamic import DynamicCommands as DynamicCommands
    from trio_mqtt.broker.operations.forms.explaining import MayAnswer as MayAnswer
    from trio_mqtt.broker.operations.forms.explaining import MayQuery as MayQuery
    from trio_mqtt.broker.operations.forms.explaining import Recipient as Recipient
    from trio_mqtt.broker.operations.forms.explaining import WhoAnswer as WhoAnswer
    from trio_mqtt.broker.operations.forms.explaining import WhoQuery as WhoQuery
    from trio_mqtt.broker.operations.forms.history import DeleteHistory as DeleteHistory
    from trio_mqtt.broker.operations.forms.history import HistoryView as HistoryView
    from trio_mqtt.broker.operations.forms.history import KeptView as KeptView
    from trio_mqtt.broker.operations.forms.history import RemovalPage as RemovalPage
    from trio_mqtt.broker.operations.forms.history import RemovalQuery as RemovalQuery
    from trio_mqtt.broker.operations.forms.messages import ClientMessage as ClientMessage
    from trio_mqtt.broker.operations.forms.messages import Done as Done
    from trio_mqtt.broker.operations.forms.messages import NewMessage as NewMessage
    from trio_mqtt.broker.operations.forms.overview import Overview as Overview
    from trio_mqtt.broker.operations.forms.overview import OverviewQuery as OverviewQuery
    from trio_mqtt.broker.operations.forms.retained import DeleteRetained as DeleteRetained
    from trio_mqtt.broker.operations.forms.retained import Removed as Removed
    from trio_mqtt.broker.operations.forms.retained import RetainedName as RetainedName
    from trio_mqtt.broker.operations.forms.retained import RetainedPage as RetainedPage
    from trio_mqtt.broker.operations.forms.retained import RetainedQuery as RetainedQuery
    from trio_mqtt.broker.operations.forms.retained import RetainedView as RetainedView
    from trio_mqtt.broker.operations.forms.series import Series as Series
    from trio_mqtt.broker.operations.forms.series import SeriesQuery as SeriesQuery
    from trio_mqtt.broker.operations.forms.sessions import QueuedView as QueuedView
    from trio_mqtt.broker.operations.forms.sessions import QueuePage as QueuePage
    from trio_mqtt.broker.operations.forms.sessions import QueueQuery as QueueQuery
    from trio_mqtt.broker.operations.forms.subscriptions import GiveSubscription as GiveSubscription
    from trio_mqtt.broker.operations.forms.subscriptions import SubscriptionPage as SubscriptionPage
    from trio_mqtt.broker.operations.forms.subscriptions import (
        SubscriptionQuery as SubscriptionQuery,
    )
    from trio_mqtt.broker.operations.forms.subscriptions import SubscriptionView as SubscriptionView
    from trio_mqtt.broker.operations.forms.subscriptions import TakeSubscription as TakeSubscription
    from trio_mqtt.broker.operations.forms.topics import TopicLevel as TopicLevel
    from trio_mqtt.broker.operations.forms.topics import TopicPage as TopicPage
    from trio_mqtt.broker.operations.forms.topics import TopicQuery as TopicQuery
    from trio_mqtt.broker.operations.forms.tracing import EventQuery as EventQuery
    from trio_mqtt.broker.operations.forms.tracing import TraceEntry as TraceEntry
    from trio_mqtt.broker.operations.forms.tracing import TraceQuery as TraceQuery
    from trio_mqtt.broker.operations.program import ProgramMessages as ProgramMessages
    from trio_mqtt.broker.operations.table import OPERATIONS as OPERATIONS
    from trio_mqtt.broker.operations.table import Operation as Operation
    from trio_mqtt.broker.operations.table import Role as Role
    from trio_mqtt.broker.operations.tracing import Trace as Trace
    from trio_mqtt.cluster.administering import ClusterAdministration as ClusterAdministration
    from trio_mqtt.cluster.administering import administer as administer
    from trio_mqtt.cluster.status import ClusterStatus as ClusterStatus
    from trio_mqtt.cluster.status import NodeStatus as NodeStatus
