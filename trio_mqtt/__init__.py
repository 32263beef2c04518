"""An MQTT broker and clients for Python, on structured concurrency."""

from __future__ import annotations

from trio_mqtt.broker.broker import Broker as Broker
from trio_mqtt.broker.events import BrokerEvent as BrokerEvent
from trio_mqtt.broker.events import ClientConnected as ClientConnected
from trio_mqtt.broker.events import ClientDisconnected as ClientDisconnected
from trio_mqtt.broker.events import ClientRefused as ClientRefused
from trio_mqtt.broker.events import MessagesPublished as MessagesPublished
from trio_mqtt.broker.events import PublishedMessage as PublishedMessage
from trio_mqtt.broker.events import Subscribed as Subscribed
from trio_mqtt.broker.events import Unsubscribed as Unsubscribed
from trio_mqtt.broker.events import Watch as Watch
from trio_mqtt.broker.limits import Limits as Limits
from trio_mqtt.broker.options import BrokerOptions as BrokerOptions
from trio_mqtt.broker.options import SharedStrategy as SharedStrategy
from trio_mqtt.broker.server import open_broker as open_broker
from trio_mqtt.broker.server import serve as serve
from trio_mqtt.broker.statistics import Statistics as Statistics
from trio_mqtt.client.client import Client as Client
from trio_mqtt.client.client import open_client as open_client
from trio_mqtt.client.events import Connected as Connected
from trio_mqtt.client.events import ConnectionEvent as ConnectionEvent
from trio_mqtt.client.events import ConnectionEvents as ConnectionEvents
from trio_mqtt.client.events import ConnectionLost as ConnectionLost
from trio_mqtt.client.events import Reconnecting as Reconnecting
from trio_mqtt.client.messages import Message as Message
from trio_mqtt.client.messages import Messages as Messages
from trio_mqtt.errors import ConnectionFailedError as ConnectionFailedError
from trio_mqtt.errors import ConnectionLostError as ConnectionLostError
from trio_mqtt.errors import ConnectionRefusedByBrokerError as ConnectionRefusedByBrokerError
from trio_mqtt.errors import DisconnectedByBrokerError as DisconnectedByBrokerError
from trio_mqtt.errors import InvalidUrlError as InvalidUrlError
from trio_mqtt.errors import ListenError as ListenError
from trio_mqtt.errors import LocalProtocolError as LocalProtocolError
from trio_mqtt.errors import MalformedPacketError as MalformedPacketError
from trio_mqtt.errors import MqttError as MqttError
from trio_mqtt.errors import RefusedError as RefusedError
from trio_mqtt.errors import RemoteProtocolError as RemoteProtocolError
from trio_mqtt.protocol.packet_types import ProtocolVersion as ProtocolVersion
from trio_mqtt.protocol.packets import Will as Will
from trio_mqtt.protocol.properties import Properties as Properties
from trio_mqtt.protocol.reason_codes import ReasonCode as ReasonCode
from trio_mqtt.protocol.topics import topic_filter_problem as topic_filter_problem
from trio_mqtt.protocol.topics import topic_name_problem as topic_name_problem
from trio_mqtt.storage.memory import MemoryStorage as MemoryStorage
from trio_mqtt.storage.records import Storage as Storage
