"""Sessions, their wills and subscriptions, as a journal keeps them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from trio_mqtt.broker.access.authorship import Authorship
from trio_mqtt.errors import RemoteProtocolError
from trio_mqtt.protocol.packets import Will
from trio_mqtt.protocol.properties import NO_PROPERTIES, Carrier, Properties, decode_properties
from trio_mqtt.protocol.wire import Reader
from trio_mqtt.storage.gathered import encoded
from trio_mqtt.storage.rows import SessionRow, SubscriptionRow

if TYPE_CHECKING:
    from trio_mqtt.broker.sessions.session import Session
    from trio_mqtt.broker.sessions.subscription import Subscription

logger = logging.getLogger("trio_mqtt.storage")

_QOS = 3  # bits of the first byte of a will: its QoS, and above it the RETAIN flag


def session_row(session: Session, epoch: float) -> SessionRow:
    """A session as it is now; `epoch` is what makes times of day of the broker's clock."""
    expires_at, will_due_at = session.expires_at, session.will_due_at
    will, permissions = session.will, session.permissions
    author = None
    if will is not None and permissions is not None:
        author = Authorship.of(permissions).text
    return SessionRow(
        session.number,
        session.key,
        session.owner,
        session.expiry_interval,
        None if expires_at is None else expires_at + epoch,
        None if will is None else will_bytes(will),
        None if will_due_at is None or will is None else will_due_at + epoch,
        author,
    )


def subscription_row(subscription: Subscription, session: Session) -> SubscriptionRow:
    """A subscription of a session, and the filters that its client knows."""
    target = subscription.target
    granted = subscription.topic_filter.text
    asked = [one for one, instead in session.renamed.items() if instead == granted]
    return SubscriptionRow(
        session.number,
        granted,
        target.qos,
        target.no_local,
        target.retain_as_published,
        target.identifiers[0] if target.identifiers else None,
        "\0".join(asked) or granted,
    )


def will_bytes(will: Will) -> bytes:
    """A will in one piece: its delay, flags, topic and payload, and its other properties."""
    properties = will.properties.copy()
    delay = properties.pop("will_delay_interval", 0)
    topic = will.topic.encode()
    parts = (
        delay.to_bytes(4, "big"),
        bytes((will.qos | will.retain << 2,)),
        len(topic).to_bytes(2, "big"),
        topic,
        len(will.payload).to_bytes(4, "big"),
        will.payload,
        encoded(properties),
    )
    return b"".join(parts)


def will_of(data: bytes) -> Will | None:
    """The will that was made one piece; None where that is damaged."""
    try:
        return _will_of(data)
    except (ValueError, IndexError):
        logger.warning("A will is damaged: it is not published.")
        return None


def _will_of(data: bytes) -> Will:
    delay, flags = int.from_bytes(data[:4], "big"), data[4]
    after_topic = 7 + int.from_bytes(data[5:7], "big")
    start = after_topic + 4
    end = start + int.from_bytes(data[after_topic:start], "big")
    properties: Properties = decoded(data[end:])
    if delay:
        properties = {**properties, "will_delay_interval": delay}
    return Will(
        data[7:after_topic].decode(), data[start:end], flags & _QOS, bool(flags >> 2), properties
    )


def decoded(data: bytes) -> Properties:
    """Properties of PUBLISH as they were kept; none where the bytes are damaged."""
    if not data:
        return NO_PROPERTIES
    try:
        return decode_properties(Reader(data), Carrier.PUBLISH)
    except RemoteProtocolError as error:
        logger.warning("The properties of a message are damaged (%s): it goes on without.", error)
        return NO_PROPERTIES
