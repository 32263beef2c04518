"""What happens in a broker, and to a client's connection: the events, and what brings them.

`Broker.events` and `Broker.sample` follow a broker, `Client.events` a client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_mqtt.lazy_names import load_lazily

if TYPE_CHECKING or not load_lazily(__name__):
    from trio_mqtt.broker.events.kinds import BrokerEvent as BrokerEvent
    from trio_mqtt.broker.events.kinds import ChangeRequested as ChangeRequested
    from trio_mqtt.broker.events.kinds import ClientConnected as ClientConnected
    from trio_mqtt.broker.events.kinds import ClientDisconnected as ClientDisconnected
    from trio_mqtt.broker.events.kinds import ClientRefused as ClientRefused
    from trio_mqtt.broker.events.kinds import ConnectionOpened as ConnectionOpened
    from trio_mqtt.broker.events.kinds import EngineLost as EngineLost
    from trio_mqtt.broker.events.kinds import EngineReturned as EngineReturned
    from trio_mqtt.broker.events.kinds import KeepAliveExpired as KeepAliveExpired
    from trio_mqtt.broker.events.kinds import LeaseLost as LeaseLost
    from trio_mqtt.broker.events.kinds import MessageAcknowledged as MessageAcknowledged
    from trio_mqtt.broker.events.kinds import MessageDelivered as MessageDelivered
    from trio_mqtt.broker.events.kinds import MessagePublished as MessagePublished
    from trio_mqtt.broker.events.kinds import MessageRefused as MessageRefused
    from trio_mqtt.broker.events.kinds import MessagesDropped as MessagesDropped
    from trio_mqtt.broker.events.kinds import NodeDied as NodeDied
    from trio_mqtt.broker.events.kinds import NodeJoined as NodeJoined
    from trio_mqtt.broker.events.kinds import NodeLeft as NodeLeft
    from trio_mqtt.broker.events.kinds import Pinged as Pinged
    from trio_mqtt.broker.events.kinds import RetainedChanged as RetainedChanged
    from trio_mqtt.broker.events.kinds import SessionEnded as SessionEnded
    from trio_mqtt.broker.events.kinds import SlowConsumer as SlowConsumer
    from trio_mqtt.broker.events.kinds import Subscribed as Subscribed
    from trio_mqtt.broker.events.kinds import SubscriptionRefused as SubscriptionRefused
    from trio_mqtt.broker.events.kinds import Throttled as Throttled
    from trio_mqtt.broker.events.kinds import Unsubscribed as Unsubscribed
    from trio_mqtt.broker.events.kinds import WillPublished as WillPublished
    from trio_mqtt.broker.events.samples import EventSample as EventSample
    from trio_mqtt.broker.events.streams import EventStream as EventStream
    from trio_mqtt.client.events import Connected as Connected
    from trio_mqtt.client.events import ConnectionEvent as ConnectionEvent
    from trio_mqtt.client.events import ConnectionEvents as ConnectionEvents
    from trio_mqtt.client.events import ConnectionLost as ConnectionLost
    from trio_mqtt.client.events import Reconnecting as Reconnecting
    from trio_mqtt.client.events import ServerFailed as ServerFailed
    from trio_mqtt.client.packets import PacketEvent as PacketEvent
    from trio_mqtt.client.packets import PacketEvents as PacketEvents
