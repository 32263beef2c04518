"""An MQTT broker and clients for Python, on structured concurrency.

Each name is loaded when it is first used: a program that only publishes does not wait for the
broker.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    __version__: str

    from trio_mqtt.broker.access.files.passwords import PasswordFile as PasswordFile
    from trio_mqtt.broker.access.files.tokens import TokenClaims as TokenClaims
    from trio_mqtt.broker.access.files.tokens import TokenVerifier as TokenVerifier
    from trio_mqtt.broker.access.protocols import AccessControl as AccessControl
    from trio_mqtt.broker.access.protocols import AccessHooks as AccessHooks
    from trio_mqtt.broker.access.protocols import AccessRefused as AccessRefused
    from trio_mqtt.broker.access.protocols import AccessRules as AccessRules
    from trio_mqtt.broker.access.protocols import Authenticated as Authenticated
    from trio_mqtt.broker.access.protocols import AuthenticationExchange as AuthenticationExchange
    from trio_mqtt.broker.access.protocols import AuthenticationRefused as AuthenticationRefused
    from trio_mqtt.broker.access.protocols import Authenticator as Authenticator
    from trio_mqtt.broker.access.protocols import ClientInfo as ClientInfo
    from trio_mqtt.broker.access.protocols import PasswordCheck as PasswordCheck
    from trio_mqtt.broker.access.protocols import Publication as Publication
    from trio_mqtt.broker.access.protocols import SubscriptionRequest as SubscriptionRequest
    from trio_mqtt.broker.access.scram import ScramAuthenticator as ScramAuthenticator
    from trio_mqtt.broker.access.scram import ScramCredentials as ScramCredentials
    from trio_mqtt.broker.access.security import Security as Security
    from trio_mqtt.broker.access.security import WaysIn as WaysIn
    from trio_mqtt.broker.events.kinds import BrokerEvent as BrokerEvent
    from trio_mqtt.broker.events.kinds import ClientConnected as ClientConnected
    from trio_mqtt.broker.events.kinds import ClientDisconnected as ClientDisconnected
    from trio_mqtt.broker.events.kinds import ClientRefused as ClientRefused
    from trio_mqtt.broker.events.kinds import ConnectionOpened as ConnectionOpened
    from trio_mqtt.broker.events.kinds import KeepAliveExpired as KeepAliveExpired
    from trio_mqtt.broker.events.kinds import MessageAcknowledged as MessageAcknowledged
    from trio_mqtt.broker.events.kinds import MessageDelivered as MessageDelivered
    from trio_mqtt.broker.events.kinds import MessagePublished as MessagePublished
    from trio_mqtt.broker.events.kinds import MessageRefused as MessageRefused
    from trio_mqtt.broker.events.kinds import MessagesDropped as MessagesDropped
    from trio_mqtt.broker.events.kinds import Pinged as Pinged
    from trio_mqtt.broker.events.kinds import RetainedChanged as RetainedChanged
    from trio_mqtt.broker.events.kinds import Subscribed as Subscribed
    from trio_mqtt.broker.events.kinds import SubscriptionRefused as SubscriptionRefused
    from trio_mqtt.broker.events.kinds import Unsubscribed as Unsubscribed
    from trio_mqtt.broker.events.kinds import WillPublished as WillPublished
    from trio_mqtt.broker.events.samples import EventSample as EventSample
    from trio_mqtt.broker.events.streams import EventStream as EventStream
    from trio_mqtt.broker.face import Broker as Broker
    from trio_mqtt.broker.limits import Limits as Limits
    from trio_mqtt.broker.options import BrokerOptions as BrokerOptions
    from trio_mqtt.broker.options import SharedStrategy as SharedStrategy
    from trio_mqtt.broker.server import open_broker as open_broker
    from trio_mqtt.broker.server import serve as serve
    from trio_mqtt.broker.statistics import Statistics as Statistics
    from trio_mqtt.client.authentication import ClientAuthentication as ClientAuthentication
    from trio_mqtt.client.authentication import ClientExchange as ClientExchange
    from trio_mqtt.client.client import Client as Client
    from trio_mqtt.client.connection.backoff import Backoff as Backoff
    from trio_mqtt.client.events import Connected as Connected
    from trio_mqtt.client.events import ConnectionEvent as ConnectionEvent
    from trio_mqtt.client.events import ConnectionEvents as ConnectionEvents
    from trio_mqtt.client.events import ConnectionLost as ConnectionLost
    from trio_mqtt.client.events import Reconnecting as Reconnecting
    from trio_mqtt.client.message import ApplicationMessage as ApplicationMessage
    from trio_mqtt.client.message import Message as Message
    from trio_mqtt.client.messages import Messages as Messages
    from trio_mqtt.client.opening import open_client as open_client
    from trio_mqtt.client.scram import ScramClient as ScramClient
    from trio_mqtt.client.status import ClientStatus as ClientStatus
    from trio_mqtt.client.status import ConnectionState as ConnectionState
    from trio_mqtt.errors import AuthenticationError as AuthenticationError
    from trio_mqtt.errors import ConfigurationError as ConfigurationError
    from trio_mqtt.errors import ConnectionFailedError as ConnectionFailedError
    from trio_mqtt.errors import ConnectionLostError as ConnectionLostError
    from trio_mqtt.errors import ConnectionRefusedByBrokerError as ConnectionRefusedByBrokerError
    from trio_mqtt.errors import DisconnectedByBrokerError as DisconnectedByBrokerError
    from trio_mqtt.errors import InvalidTokenError as InvalidTokenError
    from trio_mqtt.errors import InvalidUrlError as InvalidUrlError
    from trio_mqtt.errors import ListenError as ListenError
    from trio_mqtt.errors import LocalProtocolError as LocalProtocolError
    from trio_mqtt.errors import MalformedPacketError as MalformedPacketError
    from trio_mqtt.errors import MqttError as MqttError
    from trio_mqtt.errors import RefusedError as RefusedError
    from trio_mqtt.errors import RemoteProtocolError as RemoteProtocolError
    from trio_mqtt.errors import StoreError as StoreError
    from trio_mqtt.errors import TlsError as TlsError
    from trio_mqtt.protocol.packet_types import ProtocolVersion as ProtocolVersion
    from trio_mqtt.protocol.packets import Subscription as Subscription
    from trio_mqtt.protocol.packets import Will as Will
    from trio_mqtt.protocol.properties import Properties as Properties
    from trio_mqtt.protocol.reason_codes import ReasonCode as ReasonCode
    from trio_mqtt.protocol.topics import topic_filter_problem as topic_filter_problem
    from trio_mqtt.protocol.topics import topic_matches_filter as topic_matches_filter
    from trio_mqtt.protocol.topics import topic_name_problem as topic_name_problem
    from trio_mqtt.storage.memory import MemoryStorage as MemoryStorage
    from trio_mqtt.storage.records import Storage as Storage
    from trio_mqtt.transport.connectors.tls_options import TlsOptions as TlsOptions
    from trio_mqtt.transport.listeners.listen_urls import parse_listen as parse_listen
    from trio_mqtt.transport.listeners.options import ClientCertificate as ClientCertificate
    from trio_mqtt.transport.listeners.options import Listen as Listen
    from trio_mqtt.transport.listeners.options import Origin as Origin
    from trio_mqtt.transport.listeners.options import ServerTls as ServerTls

# Where each name is at home: the same as above, for the interpreter.
_HOMES = {
    "AccessControl": "broker.access.protocols",
    "AccessHooks": "broker.access.protocols",
    "AccessRefused": "broker.access.protocols",
    "AccessRules": "broker.access.protocols",
    "ClientInfo": "broker.access.protocols",
    "PasswordCheck": "broker.access.protocols",
    "Publication": "broker.access.protocols",
    "SubscriptionRequest": "broker.access.protocols",
    "ConnectionOpened": "broker.events.kinds",
    "EventSample": "broker.events.samples",
    "EventStream": "broker.events.streams",
    "KeepAliveExpired": "broker.events.kinds",
    "MessageAcknowledged": "broker.events.kinds",
    "MessageDelivered": "broker.events.kinds",
    "MessagePublished": "broker.events.kinds",
    "MessageRefused": "broker.events.kinds",
    "MessagesDropped": "broker.events.kinds",
    "Pinged": "broker.events.kinds",
    "RetainedChanged": "broker.events.kinds",
    "SubscriptionRefused": "broker.events.kinds",
    "WillPublished": "broker.events.kinds",
    "Authenticated": "broker.access.protocols",
    "AuthenticationExchange": "broker.access.protocols",
    "AuthenticationRefused": "broker.access.protocols",
    "Authenticator": "broker.access.protocols",
    "Broker": "broker.face",
    "BrokerEvent": "broker.events.kinds",
    "ClientConnected": "broker.events.kinds",
    "ClientDisconnected": "broker.events.kinds",
    "ClientRefused": "broker.events.kinds",
    "Subscribed": "broker.events.kinds",
    "Unsubscribed": "broker.events.kinds",
    "Limits": "broker.limits",
    "BrokerOptions": "broker.options",
    "SharedStrategy": "broker.options",
    "PasswordFile": "broker.access.files.passwords",
    "ScramAuthenticator": "broker.access.scram",
    "ScramCredentials": "broker.access.scram",
    "WaysIn": "broker.access.security",
    "Security": "broker.access.security",
    "open_broker": "broker.server",
    "serve": "broker.server",
    "Statistics": "broker.statistics",
    "TokenClaims": "broker.access.files.tokens",
    "TokenVerifier": "broker.access.files.tokens",
    "ClientAuthentication": "client.authentication",
    "ClientExchange": "client.authentication",
    "Backoff": "client.connection.backoff",
    "Client": "client.client",
    "Connected": "client.events",
    "ConnectionEvent": "client.events",
    "ConnectionEvents": "client.events",
    "ConnectionLost": "client.events",
    "Reconnecting": "client.events",
    "ApplicationMessage": "client.message",
    "Message": "client.message",
    "Messages": "client.messages",
    "open_client": "client.opening",
    "ScramClient": "client.scram",
    "ClientStatus": "client.status",
    "ConnectionState": "client.status",
    "AuthenticationError": "errors",
    "ConfigurationError": "errors",
    "ConnectionFailedError": "errors",
    "ConnectionLostError": "errors",
    "ConnectionRefusedByBrokerError": "errors",
    "DisconnectedByBrokerError": "errors",
    "InvalidTokenError": "errors",
    "InvalidUrlError": "errors",
    "ListenError": "errors",
    "LocalProtocolError": "errors",
    "MalformedPacketError": "errors",
    "MqttError": "errors",
    "RefusedError": "errors",
    "RemoteProtocolError": "errors",
    "StoreError": "errors",
    "TlsError": "errors",
    "ProtocolVersion": "protocol.packet_types",
    "Subscription": "protocol.packets",
    "Will": "protocol.packets",
    "Properties": "protocol.properties",
    "ReasonCode": "protocol.reason_codes",
    "topic_filter_problem": "protocol.topics",
    "topic_matches_filter": "protocol.topics",
    "topic_name_problem": "protocol.topics",
    "MemoryStorage": "storage.memory",
    "Storage": "storage.records",
    "ClientCertificate": "transport.listeners.options",
    "Listen": "transport.listeners.options",
    "Origin": "transport.listeners.options",
    "ServerTls": "transport.listeners.options",
    "parse_listen": "transport.listeners.listen_urls",
    "TlsOptions": "transport.connectors.tls_options",
}


if not TYPE_CHECKING:  # which sees the names above
    __all__ = tuple(_HOMES)


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if name == "__version__":
        # Asked of the installed package: one place says it, and reading that costs time.
        value: object = import_module("importlib.metadata").version("trio-mqtt")
        globals()[name] = value
        return value
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, "__version__"})
