"""An MQTT broker and clients for Python, on structured concurrency.

What most programs use is here. `trio_mqtt.access` has who may connect to a broker and what they may
do, for those that decide it; `trio_mqtt.administration` what those see and do that run a broker, or
a cluster; `trio_mqtt.configuration` a broker's settings in a file;
`trio_mqtt.durability` what outlives a broker, for those that keep it elsewhere or look into its
file; `trio_mqtt.events` what happens in a broker and to a client's connection, for those that
follow it; `trio_mqtt.history` what came on topics, for those that look back;
`trio_mqtt.monitoring` the log and the metrics, for those that run one;
`trio_mqtt.testing` what tests need; `trio_mqtt.web` the broker over HTTP.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_mqtt.lazy_names import load_lazily

if TYPE_CHECKING or not load_lazily(__name__):
    from trio_mqtt import access as access
    from trio_mqtt import administration as administration
    from trio_mqtt import configuration as configuration
    from trio_mqtt import durability as durability
    from trio_mqtt import events as events
    from trio_mqtt import history as history
    from trio_mqtt import monitoring as monitoring
    from trio_mqtt import web as web
    from trio_mqtt.broker.access.security import Security as Security
    from trio_mqtt.broker.broker import Broker as Broker
    from trio_mqtt.broker.holdings import Holdings as Holdings
    from trio_mqtt.broker.limits import Limits as Limits
    from trio_mqtt.broker.listen import Listen as Listen
    from trio_mqtt.broker.listen import ListenerLimits as ListenerLimits
    from trio_mqtt.broker.listen import ListenerOptions as ListenerOptions
    from trio_mqtt.broker.listen import parse_listen as parse_listen
    from trio_mqtt.broker.options import BrokerOptions as BrokerOptions
    from trio_mqtt.broker.options import QueuePolicy as QueuePolicy
    from trio_mqtt.broker.options import SharedStrategy as SharedStrategy
    from trio_mqtt.broker.server import open_broker as open_broker
    from trio_mqtt.broker.server import serve as serve
    from trio_mqtt.broker.statistics import Statistics as Statistics
    from trio_mqtt.client.authentication import ClientAuthentication as ClientAuthentication
    from trio_mqtt.client.authentication import ClientExchange as ClientExchange
    from trio_mqtt.client.client import Client as Client
    from trio_mqtt.client.connection.backoff import Backoff as Backoff
    from trio_mqtt.client.connection.transformation import ConnectionAttempt as ConnectionAttempt
    from trio_mqtt.client.message import Message as Message
    from trio_mqtt.client.messages import Messages as Messages
    from trio_mqtt.client.opening import open_client as open_client
    from trio_mqtt.client.scram import ScramClient as ScramClient
    from trio_mqtt.client.session.handles import PublishHandle as PublishHandle
    from trio_mqtt.client.status import ClientStatus as ClientStatus
    from trio_mqtt.client.status import ConnectionState as ConnectionState
    from trio_mqtt.cluster.settings import Cluster as Cluster
    from trio_mqtt.errors import AuthenticationError as AuthenticationError
    from trio_mqtt.errors import ConfigurationError as ConfigurationError
    from trio_mqtt.errors import ConnectionFailedError as ConnectionFailedError
    from trio_mqtt.errors import ConnectionLostError as ConnectionLostError
    from trio_mqtt.errors import ConnectionRefusedByBrokerError as ConnectionRefusedByBrokerError
    from trio_mqtt.errors import DisconnectedByBrokerError as DisconnectedByBrokerError
    from trio_mqtt.errors import EngineError as EngineError
    from trio_mqtt.errors import InvalidTokenError as InvalidTokenError
    from trio_mqtt.errors import InvalidUrlError as InvalidUrlError
    from trio_mqtt.errors import ListenError as ListenError
    from trio_mqtt.errors import LocalProtocolError as LocalProtocolError
    from trio_mqtt.errors import MalformedPacketError as MalformedPacketError
    from trio_mqtt.errors import MqttError as MqttError
    from trio_mqtt.errors import NotFoundError as NotFoundError
    from trio_mqtt.errors import RefusedError as RefusedError
    from trio_mqtt.errors import RemoteProtocolError as RemoteProtocolError
    from trio_mqtt.errors import RequestRefusedError as RequestRefusedError
    from trio_mqtt.errors import StoreError as StoreError
    from trio_mqtt.errors import TlsError as TlsError
    from trio_mqtt.errors import WithdrawnError as WithdrawnError
    from trio_mqtt.protocol.packet_types import ProtocolVersion as ProtocolVersion
    from trio_mqtt.protocol.packets import Subscription as Subscription
    from trio_mqtt.protocol.packets import Will as Will
    from trio_mqtt.protocol.properties import Properties as Properties
    from trio_mqtt.protocol.reason_codes import ReasonCode as ReasonCode
    from trio_mqtt.protocol.topics import topic_filter_problem as topic_filter_problem
    from trio_mqtt.protocol.topics import topic_matches_filter as topic_matches_filter
    from trio_mqtt.protocol.topics import topic_name_problem as topic_name_problem
    from trio_mqtt.storage.memory import MemoryStorage as MemoryStorage
    from trio_mqtt.storage.rows import Storage as Storage
    from trio_mqtt.storage.sqlite import SqliteStorage as SqliteStorage
    from trio_mqtt.sync.once import publish_once as publish_once
    from trio_mqtt.transport.connectors.tls_options import TlsOptions as TlsOptions
    from trio_mqtt.transport.listeners.options import ServerTls as ServerTls
    from trio_mqtt.transport.listeners.origin import ClientCertificate as ClientCertificate
    from trio_mqtt.transport.listeners.origin import Origin as Origin
    from trio_mqtt.version import __version__ as __version__
    from trio_mqtt.version import is_compiled as is_compiled
