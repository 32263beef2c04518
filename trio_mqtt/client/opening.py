"""`open_client`: a client, from its options to its end."""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import anyio

from trio_mqtt.client.arguments import check_filters_per_packet, checked_topic_aliases
from trio_mqtt.client.authentication import ClientAuthentication
from trio_mqtt.client.blocks import async_block
from trio_mqtt.client.client import Client
from trio_mqtt.client.connection.attempts import Attempts
from trio_mqtt.client.connection.authentication import check_authentication
from trio_mqtt.client.connection.backoff import Backoff
from trio_mqtt.client.connection.connection import CLOSE_TIMEOUT
from trio_mqtt.client.connection.first_packets import Settings
from trio_mqtt.client.connection.reconnection import Reconnection
from trio_mqtt.client.connection.reports import Reports
from trio_mqtt.client.connection.transformation import Transform
from trio_mqtt.client.events import ConnectionEvent
from trio_mqtt.client.options import (
    check_options,
    checked_addresses,
    checked_version,
    checked_will,
)
from trio_mqtt.client.packets import PacketEvent
from trio_mqtt.client.session.journal import SESSION_EXPIRY_INTERVAL, Journal, opened_journal
from trio_mqtt.client.session.session import Session
from trio_mqtt.client.session.subscribing import FILTERS_PER_PACKET
from trio_mqtt.errors import StoreError
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import Disconnect, Will
from trio_mqtt.protocol.properties import NO_PROPERTIES, Properties
from trio_mqtt.transport.connectors.by_url import Connector, connector_for
from trio_mqtt.transport.connectors.tls_options import TlsOptions


@async_block("async with trio_mqtt.open_client(...) as client:")
async def open_client(
    url: str | Sequence[str] = "mqtt://localhost:1883",
    *,
    client_id: str = "",
    username: str | None = None,
    password: str | bytes | None = None,
    protocol_version: ProtocolVersion | int | None = None,
    clean_start: bool | None = None,
    session_expiry_interval: int | None = None,
    keep_alive: int = 60,
    will: Will | None = None,
    connect_timeout: float = 10.0,
    reconnect: bool | Backoff = True,
    wait_for_broker: bool = False,
    properties: Properties | None = None,
    on_event: Callable[[ConnectionEvent], None] | None = None,
    on_packet: Callable[[PacketEvent], None] | None = None,
    on_connect: Callable[[Client], Awaitable[object] | None] | None = None,
    connector: Connector | None = None,
    authentication: ClientAuthentication | None = None,
    tls: ssl.SSLContext | TlsOptions | None = None,
    websocket_headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    follow_redirection: bool = False,
    proxy: str | bool = False,
    bind_address: str | None = None,
    transform: Transform | None = None,
    filters_per_packet: int = FILTERS_PER_PACKET,
    topic_aliases: bool | int = False,
    store: str | os.PathLike[str] | None = None,
) -> AsyncIterator[Client]:
    """Connect to a broker; yields a `Client` once it has accepted the connection.

        async with open_client("mqtt://localhost:1883") as client:
            await client.publish("test", "Hello")

    `url` is that of a broker reached by TCP (`mqtt://HOST`), TLS (`mqtts://`), WebSocket (`ws://`,
    `wss://`) or a Unix socket (`unix:///PATH`), or one as others write them: `tcp://`, `ssl://`,
    `tls://`, `mqtt+unix://`, with `?clientId=` for `client_id`. TLS trusts the authorities that the
    system does and checks that the broker's certificate is for the host; `tls` says otherwise
    (`TlsOptions`).
    Where `url` is a list, its servers are tried in turn, the last good one first, and so are those
    of a domain with SRV records (`mqtt+srv://`, `mqtts+srv://`), which are looked up anew each
    time. A server that knows the session goes on with it; at one that does not it is made anew, and
    all is subscribed to again: `Connected.session_present` tells which.
    `websocket_headers` go with WebSocket's request. `url` may carry the user name and the password;
    `username` and `password` come before it.
    `protocol_version` is 3 (MQTT 3.1), 4 (3.1.1) or 5; None means 5, or 3.1.1 where the broker
    does not know 5. An empty `client_id` lets the broker choose one, which is then kept.
    `clean_start` and `session_expiry_interval` (seconds) say what the broker remembers
    (MQTT 5.0 §3.1.2.4, §3.1.2.11.2); MQTT 3 has one flag for both: with `clean_start=False` the
    session outlives the connection. `keep_alive` is in seconds; 0 turns it off, and then a broker
    that vanishes without a word is not noticed. `connect_timeout`, in seconds, bounds each attempt.
    `properties` are further properties of CONNECT.

    With `reconnect`, a connection that is lost is made again, after 0.1 s and then doubling up to
    30 s, less a random half; the session goes on, and what was subscribed is subscribed again. A
    `Backoff` sets other delays, and when to give up. With `wait_for_broker`, so is the first
    connection made. `on_event` is called with each `Connected`, `ConnectionLost`,
    `Reconnecting` and, of several servers, `ServerFailed`; it must not block. Nor must `on_packet`,
    which is called with each packet (`PacketEvent`) that `Client.packets` would show, from the
    first CONNECT on; if it raises, that is logged, and it is not called any more.

    `on_connect`, a coroutine function, is called with the client on each connection, the first
    included: for what is to be said first, such as a birth message. What it publishes comes before
    all that waits to be published, which goes on when it returns, as does `open_client`; only what
    had been sent on the connection before, and was not acknowledged, is sent again before it. When
    the connection is lost it is cancelled, and called anew on the next. What it raises ends the
    client, and is raised.

    `connector` opens the byte stream, in place of what the URL says. `authentication` is an
    authentication method of MQTT 5 (§4.12), such as `ScramClient`, which is used on every
    connection.

    With `follow_redirection`, the client goes where its broker sends it (MQTT 5.0 §4.11), through
    at most 5 servers in a row, and with what it would have told this one, its password included; so
    it never follows from TLS or a Unix socket to a server without TLS. Without it, being sent
    elsewhere is an error, whose `server_reference` says where.

    `proxy` is the URL of a proxy that connections go through: `socks5://`, `socks4://`, `http://`
    or `https://` with HOST:PORT, and with a user name and password before them if it wants some.
    With True it is what the environment says: ALL_PROXY, NO_PROXY, and for WebSocket HTTP_PROXY or
    HTTPS_PROXY. The proxy is asked for the names of servers, but for `socks4://`.

    `bind_address` is an address, or a name, of this machine: connections are made from there, by
    TCP, TLS and WebSocket, and to a proxy.

    `transform`, a function or a coroutine function, is called before each attempt with a
    `ConnectionAttempt`, and returns what this attempt goes by: another one (made by
    `dataclasses.replace`, say), another URL, or None where nothing changes. So it is with tokens
    that expire, and with signed URLs. What it raises is a failed attempt (ConnectionFailedError)
    like any other, and so is that it takes longer than `connect_timeout`; what it returns that
    cannot be ends the client with TypeError or ValueError.

    `filters_per_packet` is how many topic filters go in one SUBSCRIBE or UNSUBSCRIBE, for brokers
    that take few (AWS: 8). With `topic_aliases`, topics that recur are sent as a number
    (MQTT 5.0 §3.3.2.3.4): as many as the broker allows, or that many at most.

    With `store`, the path of a file that only this client may use, what is to be delivered outlives
    the program: a message of QoS 1 or 2 is sent when it stands there, and stays there until the
    broker has acknowledged it; the next client with this `store` sends it again, in its order.
    So does the memory of received messages of QoS 2, from their acknowledgement on. The store also
    keeps the client identifier, if none is given. With it, `clean_start` is false and
    `session_expiry_interval` a day, unless they say otherwise: if the broker has lost the session,
    what it had acknowledged by halves comes a second time, or (QoS 2 whose PUBREC came) is given
    up. Publishing waits for a connection no more to store, up to 10,000 messages.

    Raises ConnectionFailedError (TlsError where it is TLS that fails) or
    ConnectionRefusedByBrokerError where no connection is made, ValueError or TypeError for what
    cannot be used, before anything is sent, ImportError where SRV records or a proxy would need a
    package, StoreError for a store that cannot be, AuthenticationError where it is made with a
    broker that does not prove what it has to, and,
    while the block runs, whatever ends the client for good: a refusal that will not go away,
    another client that took over the session, or, without `reconnect`, ConnectionLostError. The
    block is cancelled then. Leaving the block sends DISCONNECT and takes at most 2 seconds.
    """
    check_options(
        client_id=client_id,
        username=username,
        password=password,
        session_expiry_interval=session_expiry_interval,
        keep_alive=keep_alive,
        connect_timeout=connect_timeout,
        reconnect=reconnect,
        properties=properties,
        on_connect=on_connect,
        transform=transform,
        on_packet=on_packet,
        bind_address=bind_address,
    )
    check_filters_per_packet(filters_per_packet)
    will = checked_will(will)
    address, *others = addresses = checked_addresses(url)
    client_id = client_id or next((one.client_id for one in addresses if one.client_id), "")
    by_url = connector_for(
        address, tls, websocket_headers, others=others, proxy=proxy, bind_address=bind_address
    )
    if isinstance(password, str):
        password = password.encode()
    version = checked_version(protocol_version)
    if clean_start is None:
        clean_start = store is None
    if session_expiry_interval is None:
        session_expiry_interval = 0 if store is None else SESSION_EXPIRY_INTERVAL
    if not client_id and store is None and (version == ProtocolVersion.V31 or not clean_start):
        # MQTT 3.1 requires one; a session needs one to be found by.
        client_id = f"tmqtt-{os.urandom(8).hex()}"
    properties = properties or NO_PROPERTIES
    check_authentication(authentication, version, properties)
    if authentication is not None:
        version = ProtocolVersion.V5
    settings = Settings(
        address,
        client_id,
        username,
        password,
        clean_start,
        session_expiry_interval,
        keep_alive,
        will,
        connect_timeout,
        properties,
        connector or by_url,
        authentication,
    )
    reports = Reports(on_event)
    attempts = Attempts(
        settings,
        version,
        reports,
        others=others,
        reconnect=reconnect,
        follow_redirection=follow_redirection,
        transform=transform,
        topic_aliases=checked_topic_aliases(topic_aliases),
        on_packet=on_packet,
    )
    session = Session()
    session.subscribing.filters_per_packet = filters_per_packet
    reconnection = Reconnection(attempts, session, reports)
    client = Client(session, attempts, reports, reconnection)
    if on_connect is not None:
        reconnection.on_connect = partial(_call, on_connect, client)
    raised: BaseException | None = None
    try:
        async with opened_journal(store, client_id) as journal, anyio.create_task_group() as tasks:
            journaling = anyio.CancelScope(shield=True)
            try:
                if journal is not None:
                    attempts.settings = replace(settings, client_id=journal.client_id)
                    session.keep_in(journal)
                    tasks.start_soon(
                        _keep_journal, journal, journaling, reconnection, tasks.cancel_scope
                    )
                connection = await reconnection.connect_first(wait_for_broker=wait_for_broker)
                tasks.start_soon(reconnection.stay_connected, connection, tasks.cancel_scope)
                reconnection.tell_connected(connection)
                if on_connect is not None:
                    await reconnection.on_connect_returned.wait()
                yield client
            except anyio.get_cancelled_exc_class():
                raise
            except BaseException as error:  # raised again, outside of the group
                raised = error
            finally:
                with anyio.move_on_after(CLOSE_TIMEOUT, shield=True):
                    await reconnection.close(Disconnect())
                reconnection.serving.cancel()
                journaling.cancel()
    finally:
        if raised is None:
            raised = reconnection.failure
        if raised is not None:
            raise raised


async def _call(function: Callable[[Client], Awaitable[object] | None], client: Client) -> None:
    doing = function(client)
    if doing is not None:
        await doing


async def _keep_journal(
    journal: Journal,
    journaling: anyio.CancelScope,
    reconnection: Reconnection,
    everything: anyio.CancelScope,
) -> None:
    """Let the journal write; a client whose store cannot be written is at its end."""
    try:
        with journaling:
            await journal.run()
    except StoreError as error:
        reconnection.fail(error)
        everything.cancel()
