"""The connection that the options ask for, and what becomes of it in sentences."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol, cast

import trio_mqtt
from tmqtt.connecting.settings import ConnectionOptions, WillOptions, servers
from tmqtt.terminal.error_groups import first_of
from tmqtt.terminal.sentences import TIMED_OUT, CommandError

if TYPE_CHECKING:
    from tmqtt.connecting.packet_lines import PacketLines
    from tmqtt.terminal.looks import Line


class Teller(Protocol):
    """Whom to tell what the person should know."""

    def say(self, sentence: str) -> None:
        """Tell it."""

    def pass_by(self, sentence: str) -> None:
        """Tell how things stand just now, in place of what was told so before; empty: no more."""

    def detail(self, line: Line) -> bool:
        """Show a line of what happens within, if there is room for it."""
        ...


# Seconds between attempts at most: a person waits, who has just started the broker.
_LONGEST_PAUSE = 3.0

_VERSIONS = {
    None: None,
    "3.1": trio_mqtt.ProtocolVersion.V31,
    "3.1.1": trio_mqtt.ProtocolVersion.V311,
    "5": trio_mqtt.ProtocolVersion.V5,
}

# MQTT 3.1.1 §3.2.2.3: how MQTT 3 says the same. Who asks for MQTT 3 gets its codes.
_RETURN_CODES = {
    trio_mqtt.ReasonCode.UNSUPPORTED_PROTOCOL_VERSION: 1,
    trio_mqtt.ReasonCode.CLIENT_IDENTIFIER_NOT_VALID: 2,
    trio_mqtt.ReasonCode.SERVER_UNAVAILABLE: 3,
    trio_mqtt.ReasonCode.BAD_USER_NAME_OR_PASSWORD: 4,
    trio_mqtt.ReasonCode.NOT_AUTHORIZED: 5,
}


@asynccontextmanager
async def open_connection(
    options: ConnectionOptions, terminal: Teller, *, reconnect: bool, patient: bool = False
) -> AsyncIterator[trio_mqtt.Client]:
    """A client as the options say; what becomes of its connection is told to the person.

    The options say whether it waits for a broker that is not there yet. Where they do not, it does
    if it is `patient`, but not where the person is more likely to be wrong than the broker late: an
    unknown host, a certificate that is not one to trust. A refusal that stays is never waited for.

    Raises CommandError where there is no broker, or it refuses.
    """
    waits = patient if options.wait is None else options.wait
    reporter = _Reporter(terminal, public_url(options.broker), for_anything=options.wait is True)
    packets: PacketLines | None = None
    if options.debug:
        from tmqtt.connecting.packet_lines import PacketLines  # few want it

        packets = PacketLines(terminal)
    failure: trio_mqtt.MqttError | None = None
    try:
        async with AsyncExitStack() as stack:
            opening = trio_mqtt.open_client(
                servers(options.broker),
                **arguments(options),
                reconnect=trio_mqtt.Backoff(maximum=_LONGEST_PAUSE) if reconnect else False,
                wait_for_broker=waits,
                on_event=reporter.report,
                on_packet=None if packets is None else packets.show,
            )
            yield await entered(stack, opening)
    except* trio_mqtt.MqttError as group:  # in a group where the block has nurseries of its own
        failure = cast(trio_mqtt.MqttError, first_of(group))
    finally:
        reporter.end()
        if packets is not None:
            packets.end()
    if failure is not None:
        raise in_words(options, failure)


async def entered(
    stack: AsyncExitStack, opening: AbstractAsyncContextManager[trio_mqtt.Client]
) -> trio_mqtt.Client:
    """The client. Raises CommandError for options that do not go together, or lack a package."""
    try:
        return await stack.enter_async_context(opening)
    except trio_mqtt.MqttError:
        raise
    except (ImportError, ValueError) as error:
        raise CommandError(str(error), 2) from None


def in_words(
    options: ConnectionOptions, failure: trio_mqtt.MqttError
) -> trio_mqtt.MqttError | CommandError:
    """What ended a connection, or why there was none, as a person of this command is told."""
    version = _VERSIONS[options.protocol_version]
    if isinstance(failure, trio_mqtt.ConnectionRefusedByBrokerError):
        code = int(failure.reason_code)
        if version is not None and version < trio_mqtt.ProtocolVersion.V5:
            code = _RETURN_CODES.get(failure.reason_code, code)
        return _from(failure, CommandError(str(failure), code))
    if isinstance(failure, trio_mqtt.ConnectionFailedError) and isinstance(
        failure.__cause__, ConnectionRefusedError
    ):
        sentence = (
            f"No broker answers at {public_url(options.broker)} (connection refused):"
            " start one with `tmqtt broker`, or name another with --broker."
        )
        return _from(failure, CommandError(sentence))
    return failure


def _from(cause: BaseException, error: CommandError) -> CommandError:
    error.__cause__ = cause
    return error


def unanswered(options: ConnectionOptions, seconds: float) -> CommandError:
    """What to say where the time was over before there was a connection."""
    url = public_url(options.broker)
    return CommandError(f"The {seconds:g} s are over: no broker answered at {url}.", TIMED_OUT)


def arguments(options: ConnectionOptions) -> dict[str, Any]:
    """What `trio_mqtt.open_client` takes for these options. Raises CommandError."""
    return {
        "client_id": options.client_id,
        "username": None if options.scram else options.username,
        "password": None if options.scram else options.password,
        "protocol_version": _VERSIONS[options.protocol_version],
        "clean_start": options.clean_start,
        "session_expiry_interval": options.session_expiry_interval,
        "keep_alive": options.keep_alive,
        "will": _will(options.will),
        "connect_timeout": options.connect_timeout,
        "properties": options.properties,
        "authentication": _authentication(options),
        "proxy": True if options.proxy == "env" else options.proxy or False,
        "tls": None if options.tls is None else trio_mqtt.TlsOptions(**options.tls),
        "websocket_headers": options.websocket_headers,
        "bind_address": options.bind_address,
    }


def _will(will: WillOptions | None) -> trio_mqtt.Will | None:
    if will is None:
        return None
    problem = trio_mqtt.topic_name_problem(will.topic)
    if problem is not None:
        raise CommandError(f"The topic of the will {will.topic!r} {problem}.")
    properties = cast(trio_mqtt.Properties, will.properties)
    return trio_mqtt.Will(will.topic, will.payload, will.qos, will.retain, properties)


def _authentication(options: ConnectionOptions) -> trio_mqtt.ClientAuthentication | None:
    if not options.scram:
        return None
    if options.username is None or options.password is None:
        raise CommandError("SCRAM needs a user name and a password: give -u and -P, or a file.", 2)
    try:
        return trio_mqtt.ScramClient(options.username, options.password.decode())
    except ImportError as error:
        raise CommandError(str(error)) from None
    except UnicodeDecodeError:
        raise CommandError("SCRAM takes no password that is not UTF-8.") from None


def public_url(url: str) -> str:
    """The URL without credentials, or several."""
    return " or ".join(map(_public, servers(url)))


def _public(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    place, slash, path = rest.partition("/")
    return f"{scheme}{separator}{place.rpartition('@')[2]}{slash}{path.partition('?')[0]}"


class _Reporter:
    """Says that the broker is not there yet, and once that the connection is gone or back.

    Waiting for the first connection ends with what is not worth it, unless it is `for_anything`.
    """

    def __init__(self, terminal: Teller, url: str, *, for_anything: bool) -> None:
        self._terminal = terminal
        self._url = url
        self._for_anything = for_anything
        self._was_connected = False
        self._waits = False
        self._why = ""
        self._lost: trio_mqtt.MqttError | None = None

    def report(self, event: trio_mqtt.events.ConnectionEvent) -> None:
        match event:
            case trio_mqtt.events.ConnectionLost(reason) if not self._was_connected:
                if not self._for_anything and not _may_pass(reason):
                    raise reason  # which ends the client
                self._waits = True
                self._why = _in_short(reason)
            case trio_mqtt.events.Reconnecting(_, attempt) if not self._was_connected:
                tries = f", {attempt:,} attempts" if attempt > 1 else ""
                self._terminal.pass_by(
                    f"Waiting for a broker at {self._url} ({self._why}{tries}). Ctrl-C ends it."
                )
            case trio_mqtt.events.ConnectionLost(reason):
                # Where it is not tried again, this is the error that the command ends with.
                self._lost = reason
            case trio_mqtt.events.Connected(url):
                self._was_connected = True
                if self._waits:
                    self._waits = False
                    self._terminal.pass_by("")
                    self._terminal.say(f"Connected to {url}.")
            case trio_mqtt.events.Reconnecting():
                if not self._waits:
                    self._waits = True
                    self._terminal.say(f"{self._lost} Trying again.")

    def end(self) -> None:
        """Leave no line behind that is true no more."""
        if self._waits:
            self._terminal.pass_by("")


def _may_pass(reason: trio_mqtt.MqttError) -> bool:
    """Whether the broker may be only late, or busy."""
    if isinstance(reason, trio_mqtt.ConnectionRefusedByBrokerError):
        return True  # a refusal that stays has ended the client
    return (
        isinstance(reason, trio_mqtt.ConnectionFailedError)
        and not isinstance(reason, trio_mqtt.TlsError)
        and not isinstance(reason.__cause__, (socket.gaierror, UnicodeError, PermissionError))
        and getattr(reason.__cause__, "errno", None) != errno.EADDRNOTAVAIL  # of --bind-address
    )


def _in_short(reason: trio_mqtt.MqttError) -> str:
    cause = reason.__cause__
    if isinstance(cause, OSError) and cause.errno and not isinstance(cause, socket.gaierror):
        return os.strerror(cause.errno).lower()
    return str(reason).rstrip(".")
