"""One listener of a broker, and what may hold for it alone."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import fields, replace
from typing import Any

from trio_mqtt.attribute_docs import with_attribute_docs
from trio_mqtt.broker.access.security import Security
from trio_mqtt.broker.limits import Limits, check_limit
from trio_mqtt.broker.options import BrokerOptions, QueuePolicy
from trio_mqtt.errors import ConfigurationError
from trio_mqtt.protocol.topics import topic_name_problem
from trio_mqtt.records import record
from trio_mqtt.transport.listeners.listen_urls import parse_endpoint
from trio_mqtt.transport.listeners.listener import named_by_socket
from trio_mqtt.transport.listeners.options import Endpoint

_DEFAULTS = {field.name: field.default for field in fields(Limits)}


@with_attribute_docs
@record(kw_only=True)
class ListenerLimits:
    """The bounds of one listener's connections, where they are others than the broker's.

    Those that are None are as in the `Limits` of the broker, which say more of each. What outlives
    a connection, or is one sum for all of them, is bounded for the broker as a whole only. Raises
    ConfigurationError, a ValueError, for what no broker can keep to, and TypeError for what is no
    number.
    """

    maximum_connections: int | None = None
    """Connections at one time by this listener. They count for all of the broker's too."""
    connect_timeout: float | None = None
    """Seconds until a connection must have said CONNECT, and authenticated."""
    maximum_authentication_steps: int | None = None
    """Challenges in one authentication by AUTH."""
    maximum_connect_size: int | None = None
    """Bytes of a CONNECT."""
    maximum_packet_size: int | None = None
    """Bytes of one packet that a client sends."""
    maximum_user_properties: int | None = None
    """User properties of one packet or will."""
    receive_maximum: int | None = None
    """QoS 1 and 2 messages that a client may send without an acknowledgement."""
    topic_alias_maximum: int | None = None
    """Topic aliases that a client may set."""
    client_topic_alias_maximum: int | None = None
    """Topic aliases that the broker sets for one client."""
    maximum_in_flight: int | None = None
    """QoS 1 and 2 messages in flight to one client."""
    maximum_filters_at_once: int | None = None
    """Topic filters in one SUBSCRIBE or UNSUBSCRIBE."""
    maximum_request_size: int | None = None
    """Bytes of one SUBSCRIBE or UNSUBSCRIBE."""
    maximum_subscriptions: int | None = None
    """Subscriptions that a session may have for another one to be granted here."""
    maximum_subscription_bytes: int | None = None
    """Bytes of the topic filters that a session may have, counted in the same way."""
    maximum_wildcard_paths_per_session: int | None = None
    """Places of wildcards that a session may have in its filters, counted in the same way."""
    maximum_message_rate_in: float | None = None
    """PUBLISH packets a second that one client may send."""
    maximum_byte_rate_in: float | None = None
    """Bytes a second that one client may send."""
    maximum_message_rate_out: float | None = None
    """PUBLISH packets a second that one client is sent."""
    maximum_byte_rate_out: float | None = None
    """Bytes a second of the PUBLISH packets that one client is sent."""
    maximum_session_expiry: int | None = None
    """Seconds that the session of a client which came by this listener is kept at most."""
    maximum_keep_alive: int | None = None
    """Seconds of the longest keep alive of an MQTT 5 client."""
    maximum_keep_alive_mqtt_3: float | None = None
    """Seconds of the longest keep alive of an MQTT 3 client."""
    maximum_client_identifier: int | None = None
    """Characters in a client identifier."""
    write_buffer: int | None = None
    """Bytes written but not accepted by the socket, beyond which nothing more is prepared."""
    write_timeout: float | None = None
    """Seconds for which a client may take nothing of what is written."""
    goodbye_timeout: float | None = None
    """Seconds that saying goodbye may take for each connection."""

    def __new__(cls, **given: object) -> ListenerLimits:
        """Say of a bound that no listener has where it belongs."""
        _refuse_the_brokers(cls, Limits, given)
        return object.__new__(cls)

    def __post_init__(self) -> None:
        for name, value in _given(self).items():
            check_limit(name, value, isinstance(_DEFAULTS[name], float))

    def over(self, limits: Limits) -> Limits:
        """The bounds of a broker with these in place of those of the same name."""
        return replace(limits, **_given(self))


@with_attribute_docs
@record(kw_only=True)
class ListenerOptions:
    """What the clients of one listener are offered, where it is not what the broker offers.

    Those that are None are as in the `BrokerOptions` of the broker, which say more of each. Raises
    ConfigurationError, a ValueError, for what no broker can offer, and TypeError for what is of
    another kind.
    """

    queue_policy: QueuePolicy | None = None
    """What happens where as much waits for the session of a client that came here as may."""
    maximum_qos: int | None = None
    """The QoS at which subscriptions are granted at most, and at which clients may publish."""
    retain_available: bool | None = None
    """Whether messages may be retained, and retained ones are sent to who subscribes."""
    wildcard_subscription_available: bool | None = None
    """Whether topic filters may have wildcards."""
    subscription_identifier_available: bool | None = None
    """Whether subscriptions may have identifiers."""
    shared_subscription_available: bool | None = None
    """Whether subscriptions may be shared."""
    check_payload_format: bool | None = None
    """Whether payloads that are said to be text are looked at."""
    response_topic_prefix: str | None = None
    """The start of the topics at which a client awaits responses. Empty: nothing is told."""
    server_reference: str | None = None
    """Where clients are sent instead of being served. Empty: they are served."""
    server_moved: bool | None = None
    """Whether they are to go there for good."""

    def __new__(cls, **given: object) -> ListenerOptions:
        """Say of an option that no listener has where it belongs."""
        _refuse_the_brokers(cls, BrokerOptions, given)
        return object.__new__(cls)

    def __post_init__(self) -> None:
        self.over(BrokerOptions(server_reference="elsewhere"))

    def over(self, options: BrokerOptions) -> BrokerOptions:
        """What a broker offers with these in place of those of the same name."""
        given = _given(self)
        for name in ("response_topic_prefix", "server_reference"):
            if given.get(name) == "":
                given[name] = None
        if self.server_reference == "" and self.server_moved is None:
            given["server_moved"] = False
        return replace(options, **given)


@with_attribute_docs
@record(kw_only=True)
class Listen(Endpoint):
    """One listener of a broker: its address as a URL, and what holds for it alone.

    Addresses are `mqtt://HOST:PORT`, `mqtts://` (TLS), `ws://` and `wss://` (WebSocket),
    `unix:///PATH`, and `any://HOST:PORT`, which serves MQTT, WebSocket, and both within TLS if it
    has a certificate, on one port. Networks are written as "10.0.0.0/8" or single addresses.

        Listen("mqtts://0.0.0.0:8883", tls=ServerTls("server.pem", "server.key"))

    Raises ConfigurationError for what no listener can do, and TypeError for what is of another
    kind; what its files and networks are is looked at when the broker begins to listen.
    """

    security: Security | None = None
    """Who may connect here and do what, in place of the broker's `security`, as a whole.

    What it leaves out there is not here. None: as the broker is set. A user name means the same
    user at all listeners.
    """
    limits: ListenerLimits | None = None
    """Bounds that are others here than those of the broker. None: they are the same."""
    options: ListenerOptions | None = None
    """What is offered here otherwise than by the broker. None: it is the same."""
    mount_point: str = ""
    """What stands before all topics of the clients that come by this listener, such as "site-1/".

    They neither see it nor what is outside of it: it is put before the topics and filters that they
    name, and taken away from those that they are sent. Sessions are its own too: a client has
    another one where it comes by another mount point. Access rules and hooks see whole topics.
    """

    def __post_init__(self) -> None:
        Endpoint.__post_init__(self)
        _check_kind("security", self.security, Security)
        _check_kind("limits", self.limits, ListenerLimits)
        _check_kind("options", self.options, ListenerOptions)
        if not isinstance(self.mount_point, str):
            raise TypeError(f"mount_point is a str, such as 'site-1/', not {self.mount_point!r}.")
        if self.mount_point:
            _check_mount_point(self.mount_point)


def _refuse_the_brokers(own: type, brokers: type, given: Collection[str]) -> None:
    """Raise TypeError for what only the broker has."""
    of_broker = {field.name for field in fields(brokers)} - {field.name for field in fields(own)}
    for name in given:
        if name in of_broker:
            raise TypeError(
                f"{name} holds for the broker as a whole: give it to {brokers.__name__}, not to"
                f" {own.__name__}."
            )


def _given(own: ListenerLimits | ListenerOptions) -> dict[str, Any]:
    values = {field.name: getattr(own, field.name) for field in fields(own)}
    return {name: value for name, value in values.items() if value is not None}


def _check_kind(name: str, value: object, kind: type) -> None:
    if value is not None and not isinstance(value, kind):
        raise TypeError(f"{name} is a trio_mqtt.{kind.__name__}, not {value!r}.")


def _check_mount_point(mount_point: str) -> None:
    problem = topic_name_problem(mount_point)
    if problem is None and mount_point.startswith("$"):
        problem = "begins with $, which is for the broker's own topics"
    if problem is None and not mount_point.endswith("/"):
        problem = f"runs into the topics after it: write {mount_point + '/'!r}"
    if problem is not None:
        raise ConfigurationError(f"The mount point {mount_point!r} {problem}.")


def parse_listen(url: str, defaults: Mapping[str, str | Collection[str]] = {}) -> Listen:
    """The listener that `url` describes; its query holds what is the listener's own.

    | option | meaning |
    |---|---|
    | `cert`, `key` | files: the certificate chain of the broker, and its key (PEM) |
    | `ca` | file: the authorities whose client certificates count |
    | `client-certificates` | `required` (the default with `ca`), `optional` or `none` |
    | `username` | from the client's certificate: `common-name` or `subject` |
    | `origin` | WebSocket: a page that may connect, such as https://example.org; `*`: any |
    | `host` | WebSocket: by what name clients may call the broker; `*`: any |
    | `forwarded` | WebSocket: a network of proxies whose X-Forwarded-For is believed |
    | `proxy` | a network of proxies that speak the PROXY protocol; `unix` for a socket |
    | `mode`, `group` | Unix: permissions such as 660, and the group |
    | `anonymous` | `yes` or `no`: whether clients without a user name may connect |

    `origin`, `host`, `forwarded` and `proxy` may be repeated, or list several with commas.
    `defaults` are options for listeners that can have them and do not say otherwise. Raises
    InvalidUrlError, whose text says what is wrong.
    """
    return parse_endpoint(url, defaults, Listen)


def listens_of(listeners: Iterable[str | Listen]) -> list[Listen]:
    """What is listened at, of which some are told by their URL.

    Raises InvalidUrlError, and ListenError for a socket at which nobody can listen.
    """
    return [
        named_by_socket(parse_listen(one) if isinstance(one, str) else one) for one in listeners
    ]
