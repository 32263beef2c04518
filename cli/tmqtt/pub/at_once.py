"""One message by TCP, quietly, and no more: then there need be no event loop, which takes long."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import NoReturn, cast

import trio_mqtt
from tmqtt.connecting.opening import arguments, in_words
from tmqtt.connecting.settings import ConnectionOptions, servers
from tmqtt.pub.plan import PubOptions, message_payload, topic_templates
from tmqtt.terminal.sentences import CommandError, tell


class _StoppedError(BaseException):
    """A signal came, which ends the message on its way."""

    def __init__(self, number: int) -> None:
        self.number = number


def is_plain(options: PubOptions, connection: ConnectionOptions) -> bool:
    """Whether the connection wants nothing that only a client has."""
    return (
        len(options.topics) == 1
        and len(servers(connection.broker)) == 1
        and connection.broker.partition("://")[0] in ("mqtt", "tcp", "unix")
        and connection.wait is not True
        and not connection.scram
        and connection.will is None
        and connection.tls is None
        and connection.proxy is None
        and connection.bind_address is None
        and not connection.websocket_headers
        and not connection.debug
        and connection.clean_start
        and not connection.session_expiry_interval
    )


def publish_at_once(options: PubOptions, connection: ConnectionOptions) -> NoReturn:
    """Publish, and end the process with its exit code."""
    _end_on_signals()
    try:
        code = _publish(options, connection)
    except _StoppedError as stopped:
        code = 128 + stopped.number
    except trio_mqtt.RequestRefusedError as error:
        code = tell(error)
    except trio_mqtt.MqttError as error:
        code = tell(in_words(connection, error))
    except CommandError as error:
        code = tell(error)
    sys.exit(code)


def _publish(options: PubOptions, connection: ConnectionOptions) -> int:
    chosen = arguments(connection)
    [topic] = topic_templates(options)
    trio_mqtt.publish_once(
        connection.broker,
        topic.text(1),
        message_payload(options),
        qos=options.qos,
        retain=options.retain,
        properties=cast(trio_mqtt.Properties, options.properties) or None,
        connect_properties=chosen["properties"],
        **{
            name: chosen[name]
            for name in (
                "client_id",
                "username",
                "password",
                "protocol_version",
                "keep_alive",
                "connect_timeout",
            )
        },
    )
    return 0


def _end_on_signals() -> None:
    """Have them end what is under way in order, and a second one at once."""
    asked_to_stop: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        if asked_to_stop:
            os._exit(128 + number)
        asked_to_stop.append(number)
        raise _StoppedError(number)

    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, stop)
