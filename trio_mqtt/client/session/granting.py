"""How a subscription comes to be granted, and how it is given back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import anyio

from trio_mqtt.client.messages import Messages
from trio_mqtt.client.session.session import Session
from trio_mqtt.client.session.subscribing import refusal
from trio_mqtt.client.session.subscriptions import Options
from trio_mqtt.errors import LocalProtocolError, MqttError
from trio_mqtt.protocol.properties import NO_PROPERTIES, Properties
from trio_mqtt.protocol.reason_codes import ReasonCode

# Seconds that leaving a subscription waits for the broker to confirm it.
UNSUBSCRIBE_TIMEOUT = 2.0


@asynccontextmanager
async def granted(
    session: Session,
    messages: Messages,
    options: dict[str, Options],
    *,
    unsubscribe: bool,
    properties: Properties,
) -> AsyncIterator[None]:
    """Subscribe for as long as the context lasts; `unsubscribe` as it ends, from what is unused.

    `properties` are those of UNSUBSCRIBE.

    Raises RequestRefusedError.
    """
    try:
        await grant(session, messages, options)
        yield
    finally:
        unused = release(session, messages)
        if unused and unsubscribe and session.error is None:
            await leave(session, unused, properties)


async def grant(session: Session, messages: Messages, options: dict[str, Options]) -> None:
    """Have every filter granted, on one connection or, if it breaks, on the next.

    Whatever comes of it, `release` is due afterwards. Raises RequestRefusedError.
    """
    session.incoming.opened(messages)
    subscriptions = session.incoming.subscriptions
    session.begin_to_wait()
    try:
        while True:
            connection = await session.connected()
            requests = []
            for topic_filter, wanted in options.items():
                session.subscribing.subscribed_again(topic_filter)
                requests += subscriptions.add(
                    messages, topic_filter, wanted, session.subscribing.identifiers_available
                )
            requests = session.subscribing.packets(connection, requests)
            session.incoming.claim()
            asked = [session.subscribing.subscribe(connection, request) for request in requests]
            refused: list[tuple[str, ReasonCode]] = []
            try:
                for request, pending in zip(requests, asked, strict=True):
                    answer = await pending.wait()
                    for entry, code in zip(request.filters, answer.reason_codes, strict=True):
                        if not code.is_failure:
                            subscriptions.confirm(entry, messages)
                        elif messages in entry.users:
                            refused.append((entry.topic_filter, code))
                            last_refusal = answer
            except MqttError:
                if session.error is not None:
                    raise
                continue  # that connection has ended: once more on the next
            if refused:
                raise refusal(connection.url, refused, last_refusal)
            session.incoming.claim()
            return
    finally:
        session.end_to_wait()


def release(session: Session, messages: Messages) -> list[str]:
    """Nobody reads these messages any more; the filters that nobody uses now, for `leave`."""
    unused = session.incoming.subscriptions.remove(messages)
    session.incoming.closed(messages)
    return [entry.topic_filter for entry in unused]


async def leave(
    session: Session, filters: list[str], properties: Properties = NO_PROPERTIES
) -> None:
    """Unsubscribe, now or when there is a connection."""
    connection = session.connection
    if connection is None:
        session.subscribing.unsubscribe_later(filters, properties)
        return
    asked = session.subscribing.unsubscribe(connection, filters, properties)
    session.begin_to_wait()
    try:
        with anyio.move_on_after(UNSUBSCRIBE_TIMEOUT, shield=True):
            for pending in asked:
                await pending.wait()
    except MqttError:
        session.subscribing.unsubscribe_later(filters, properties)
    finally:
        session.end_to_wait()


async def unsubscribe(
    session: Session, filters: Sequence[str], properties: Properties
) -> list[ReasonCode]:
    """End subscriptions that are no block of this program, on this connection or the next.

    Returns the reason code of each; raises RequestRefusedError, and LocalProtocolError for one that
    is in use.
    """
    distinct = list(dict.fromkeys(filters))
    session.begin_to_wait()
    try:
        while True:
            connection = await session.connected()
            for topic_filter in distinct:
                if topic_filter in session.incoming.subscriptions.filters:
                    raise LocalProtocolError(
                        f"{topic_filter!r} is subscribed to by this program: leave that block."
                    )
            asked = session.subscribing.unsubscribe(connection, distinct, properties)
            codes: list[ReasonCode] = []
            try:
                for pending in asked:
                    answer = await pending.wait()
                    # MQTT 3 has no codes.
                    codes += answer.reason_codes or [ReasonCode.SUCCESS] * pending.count
            except MqttError:
                if session.error is not None:
                    raise
                continue
            refused = [
                (name, code) for name, code in zip(distinct, codes, strict=True) if code.is_failure
            ]
            if refused:
                raise refusal(connection.url, refused, answer, "the end of the subscription")
            found = dict(zip(distinct, codes, strict=True))
            return [found[topic_filter] for topic_filter in filters]
    finally:
        session.end_to_wait()
