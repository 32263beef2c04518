"""What a program implements to decide who may connect and what they may do.

Two ways, which may be used together. `AccessControl` has asynchronous methods that can refuse and
change each request; `AccessRules` are asked without waiting, and the broker remembers what they
answered. Both see a client as `ClientInfo`. Besides, an `Authenticator` decides who may connect by
an authentication method (MQTT 5.0 §4.12).
"""

from __future__ import annotations

from dataclasses import field
from typing import ClassVar, Protocol, runtime_checkable

from trio_mqtt.attribute_docs import with_attribute_docs
from trio_mqtt.protocol.properties import Properties
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.records import record
from trio_mqtt.transport.listeners.upgrade import Upgrade


@with_attribute_docs
@record
class ClientInfo:
    """A client, as hooks and rules see it."""

    client_id: str
    """The client identifier (MQTT 5.0 §3.1.3.1)."""

    username: str | None
    """The user name of CONNECT, or the one that was proved in another way."""

    address: str
    """Where the client is: HOST:PORT, or the process that came by a Unix socket."""

    protocol_version: str
    """The version of MQTT that it speaks: "3.1", "3.1.1" or "5"."""

    listener: str = ""
    """The URL that it came by; empty for a stream that the program handed to the broker."""

    authenticated: bool = False
    """Whether somebody has proved that it is `username`.

    Where nothing asks for a password, that is only what the client calls itself.
    """

    certificate_name: str | None = None
    """The common name (CN) of its TLS certificate, where it showed one."""

    certificate_subject: str | None = None
    """The subject of that certificate."""

    properties: Properties = field(default_factory=Properties, compare=False)
    """The properties of CONNECT (MQTT 5.0 §3.1.2.11)."""

    upgrade: Upgrade | None = field(default=None, compare=False)
    """The HTTP request by which its WebSocket began: path, headers, cookies. None without one,
    and for the author of a retained message or a will, of whom it is not kept."""


@with_attribute_docs
@record
class ConnectionInfo:
    """A connection whose client has not said anything of MQTT yet."""

    address: str
    """Where it comes from, as in `ClientInfo`."""

    listener: str = ""
    """The URL that it came by; empty for a stream that the program handed to the broker."""

    is_encrypted: bool = False
    """Whether it came through TLS."""

    certificate_name: str | None = None
    """The common name (CN) of the client's TLS certificate, where it showed one."""

    certificate_subject: str | None = None
    """The subject of that certificate."""

    upgrade: Upgrade | None = field(default=None, compare=False)
    """The HTTP request by which a WebSocket began; None without one."""


@record
class Publication:
    """A message on its way through the broker, for a hook to look at or replace.

    `dataclasses.replace` makes one with another topic, payload or QoS.
    """

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    properties: Properties = field(default_factory=Properties)


@with_attribute_docs
@record
class ConnectRequest:
    """What a client asks for by CONNECT, for a hook to look at or replace.

    `dataclasses.replace` makes one with another identifier, keep alive or will.
    """

    client_id: str
    """The client identifier; empty where the broker is to choose one (MQTT 5.0 §3.1.3.1).

    Where the client gave none, an MQTT 5 client is told which it has (Assigned Client Identifier,
    §3.2.2.3.7). One that gave an identifier is known to the broker by the other: its session is
    found again by that, so it has to be the same each time.
    """

    keep_alive: int
    """Seconds between two packets of the client at most (§3.1.2.10); 0 is no bound.

    MQTT 5 clients are told another one (Server Keep Alive, §3.2.2.3.14). MQTT 3 clients cannot be:
    theirs only becomes longer, and what is shorter stays as it was.
    """

    will: Publication | None = None
    """Its will (§3.1.2.5), with `will_delay_interval` among the properties; None: it has none.

    Its topic is as the client gave it: without the listener's mount point.
    """


@record
class SubscriptionRequest:
    """A topic filter that a client asks for, and at which QoS (§3.8.3)."""

    topic_filter: str
    qos: int = 0


@record
class Refusal:
    """What a program answers that says no: `reason_code` by its number, `reason` in words.

    Raises ValueError for a code that is no refusal.
    """

    reason_code: ReasonCode = ReasonCode.NOT_AUTHORIZED
    reason: str = ""
    _refuses: ClassVar[str] = "nothing"

    def __post_init__(self) -> None:
        if not self.reason_code.is_failure:
            raise ValueError(f"{self.reason_code.sentence!r} refuses {self._refuses}.")


@record
class AccessRefused(Refusal):
    """A client may not do what it asks for; MQTT 5 clients are told why (§3.4.2.1, §3.9.3).

    Where the answer's packet cannot carry the code, "not authorized" stands in its place.
    """


@record
class Authenticated:
    """The client is who it says.

    `data` go to it with CONNACK, or with the AUTH that ends a re-authentication. `username` is who
    it is from now on; None leaves it the user name of CONNECT.
    """

    data: bytes = b""
    username: str | None = None


@record
class AuthenticationRefused(Refusal):
    """A client is not let in; it is told why, in words too if there are some.

    The code is that of CONNACK (§3.2.2.2). DISCONNECT, which ends a connection that fails to
    authenticate again, says "not authorized" in its place.
    """

    reason: str = "authentication failed"
    _refuses: ClassVar[str] = "nobody"


class AuthenticationExchange(Protocol):
    """One client that authenticates, as an `Authenticator` sees it."""

    @property
    def method(self) -> str:
        """The authentication method that the client named."""

    @property
    def data(self) -> bytes:
        """What the client sent first; empty if it sent nothing."""

    @property
    def address(self) -> str:
        """Where the client is, as in `ClientInfo`."""

    @property
    def client_id(self) -> str:
        """The client identifier; empty where the broker is to choose one."""

    @property
    def username(self) -> str | None:
        """The user name of CONNECT, or who the client is, where it authenticates again."""

    @property
    def again(self) -> bool:
        """Whether the client is connected, and authenticates again (§4.12.1)."""

    async def challenge(self, data: bytes = b"") -> bytes:
        """Send AUTH with `data` and wait for what the client answers.

        Cancelled where the client breaks the rules, leaves, or takes too long or too many steps.
        """


class Authenticator(Protocol):
    """Decides who may connect by an authentication method.

    Many clients may be in it at once. It has the connect timeout of `Limits`, then it is cancelled.
    An exception that it raises refuses the client and is logged.
    """

    async def authenticate(
        self, exchange: AuthenticationExchange
    ) -> Authenticated | AuthenticationRefused:
        """Find out whether the client is who it says, by as many challenges as that takes."""


@runtime_checkable
class KeepsUsers(Protocol):
    """What an `Authenticator` may be as well: then clients go whose user is gone, or changed.

    That is looked at when `Broker.reconfigure` has put another in its place, and when files are
    read again.
    """

    def entry(self, username: str) -> object | None:
        """What is kept of a user, None if there is no such user.

        It differs from what it was before once the user has another password, and is the same where
        another authenticator of the method knows the user by the same.
        """


class AccessControl(Protocol):
    """What the broker asks a program, one client's requests in order, many clients at once.

    Each call has the `hook_timeout` of `Limits`, then it is cancelled. A call that takes too long
    or raises refuses that one request, and is logged; nobody else notices.
    """

    async def accept(self, connection: ConnectionInfo) -> AccessRefused | None:
        """Whether a connection is served; None lets it go on.

        It is asked after the handshakes of TLS and WebSocket, and before CONNECT is read: a
        connection that is refused is closed, and its client told nothing, as nobody knows yet in
        which words.
        """

    async def authenticate(
        self, client: ClientInfo, password: bytes | None
    ) -> Authenticated | AuthenticationRefused:
        """Whether a client may connect; nothing of what it sent takes effect before.

        What else the broker is told to check (passwords, tokens) has been checked before this.
        """

    async def authorize_connect(
        self, client: ClientInfo, request: ConnectRequest
    ) -> ConnectRequest | AccessRefused:
        """Whether a client that is known by now may connect as it asks; what is returned holds.

        What the broker checks of identifiers, keep alives and wills, it checks of that.
        """

    async def authorize_publish(
        self, client: ClientInfo, message: Publication
    ) -> Publication | AccessRefused:
        """Whether a client may publish a message or have it as its will.

        What is returned goes on in its place.
        """

    async def authorize_subscribe(
        self, client: ClientInfo, request: SubscriptionRequest
    ) -> SubscriptionRequest | AccessRefused:
        """Whether a client may subscribe; what is returned is what it subscribes to.

        The client knows its subscription by the filter that it sent: an UNSUBSCRIBE of that ends
        it.
        """

    async def authorize_delivery(
        self, client: ClientInfo, message: Publication
    ) -> Publication | AccessRefused:
        """Whether a message is sent to a client that has subscribed; the client is told nothing.

        What is returned is sent in its place.
        """


class AccessHooks:
    """An `AccessControl` that allows everything: a base class, to override what you need.

    Methods that are not overridden cost nothing.

        class ReadOnly(trio_mqtt.access.AccessHooks):
            async def authorize_publish(self, client, message):
                return trio_mqtt.access.AccessRefused(reason="this broker only tells")
    """

    async def accept(
        self,
        connection: ConnectionInfo,
    ) -> AccessRefused | None:
        """Serve every connection."""
        return None

    async def authenticate(
        self,
        client: ClientInfo,
        password: bytes | None,
    ) -> Authenticated | AuthenticationRefused:
        """Allow everybody."""
        return Authenticated()

    async def authorize_connect(
        self,
        client: ClientInfo,
        request: ConnectRequest,
    ) -> ConnectRequest | AccessRefused:
        """Allow every CONNECT as it is."""
        return request

    async def authorize_publish(
        self,
        client: ClientInfo,
        message: Publication,
    ) -> Publication | AccessRefused:
        """Allow every message as it is."""
        return message

    async def authorize_subscribe(
        self,
        client: ClientInfo,
        request: SubscriptionRequest,
    ) -> SubscriptionRequest | AccessRefused:
        """Allow every subscription as it is."""
        return request

    async def authorize_delivery(
        self,
        client: ClientInfo,
        message: Publication,
    ) -> Publication | AccessRefused:
        """Deliver every message as it is."""
        return message


class AccessRules(Protocol):
    """Rules that are asked without waiting, as an access file's are.

    The answers are remembered for each session and topic until the rules are said to have changed
    (`Broker.rules_changed`), so they must depend on nothing else. Rules that also have a method
    `explain(action, client, topic)` say by it, for the log, what decided; `action` is "publish",
    "subscribe" or "receive".
    """

    def may_publish(self, client: ClientInfo, topic: str) -> bool:
        """Whether a client may publish to a topic, its will included."""

    def may_subscribe(self, client: ClientInfo, topic_filter: str) -> bool:
        """Whether a client may subscribe to a filter; `$share/NAME/` is cut off."""

    def may_receive(self, client: ClientInfo, topic: str) -> bool:
        """Whether messages of a topic are sent to a client: new, retained, queued and wills."""


class PasswordCheck(Protocol):
    """User names and passwords, as a password file has them."""

    def verify(self, username: str, password: bytes | None) -> bool:
        """Whether it is the user's password. Called in a thread, as hashing takes long."""

    def entry(self, username: str) -> object | None:
        """What is kept of a user, None if there is no such user.

        It differs from what it was before once the user has another password.
        """
