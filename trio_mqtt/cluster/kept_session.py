"""What the engine keeps of one session, and how it stands in the fields of a hash."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from trio_mqtt.storage.rows import SubscriptionRow

_HEAD = struct.Struct(">BI")  # options, and the subscription identifier, 0 for none
_NO_LOCAL, _RETAIN_AS_PUBLISHED, _SEARCHING = 4, 8, 16


@dataclass(slots=True)
class KeptSession:
    """A session as it is kept. All of it is empty, and `expiry_interval` None, if there is none.

    `node` has it; while none has, it counts as one of `holder`'s. Times are in milliseconds of the
    engine's clock: when it ends, and when its will is due; None is never, or that its client is
    connected. `will_of` tells a will from that of another connection. `others` are the fields of
    deliveries.
    """

    key: str
    node: str | None = None
    user: str | None = None
    holder: str | None = None
    expiry_interval: int | None = None
    will: bytes | None = None
    author: str | None = None
    will_of: int | None = None
    ends: int | None = None
    will_due: int | None = None
    subscriptions: list[tuple[str, bytes]] = field(default_factory=list)
    identifiers: list[int] = field(default_factory=list)
    others: dict[bytes, bytes] = field(default_factory=dict)

    @classmethod
    def of(cls, key: str, fields: dict[bytes, bytes]) -> KeptSession:
        """A session from its hash."""
        kept = cls(key)
        for name, value in fields.items():
            match name:
                case b"node":
                    kept.node = value.decode()
                case b"user":
                    kept.user = value.decode()
                case b"holder":
                    kept.holder = value.decode()
                case b"expiry":
                    kept.expiry_interval = int(value)
                case b"will":
                    kept.will = value
                case b"author":
                    kept.author = value.decode()
                case b"will_of":
                    kept.will_of = int(value)
                case b"ends":
                    kept.ends = int(value)
                case b"will_due":
                    kept.will_due = int(value)
                case b"epoch" | b"next":
                    pass
                case _ if name.startswith(b"s:"):
                    kept.subscriptions.append((name[2:].decode(), value))
                case _ if name.startswith(b"i:"):
                    kept.identifiers.append(int(name[2:]))
                case _:
                    kept.others[name] = value
        return kept

    @property
    def outlives_connections(self) -> bool:
        """Whether there is one that is there still when its client is not."""
        return bool(self.expiry_interval)

    def is_over(self, now: int) -> bool:
        """Whether it has ended by this time."""
        return self.ends is not None and self.ends <= now

    def rows(self, number: int) -> list[SubscriptionRow]:
        """Its subscriptions, of the session that has this number at a node."""
        return [subscription_row(number, text, value) for text, value in self.subscriptions]


def subscription_field(
    topic_filter: str, row: SubscriptionRow | None
) -> tuple[bytes, bytes | None]:
    """The field of a subscription, and what stands there: None if it has ended."""
    name = b"s:" + topic_filter.encode()
    if row is None:
        return name, None
    options = (
        row.qos
        | _NO_LOCAL * bool(row.no_local)
        | _RETAIN_AS_PUBLISHED * bool(row.retain_as_published)
        | _SEARCHING * bool(row.searching)
    )
    asked = "" if row.asked == topic_filter else row.asked
    return name, _HEAD.pack(options, row.identifier or 0) + asked.encode()


def subscription_row(number: int, topic_filter: str, value: bytes) -> SubscriptionRow:
    """The subscription that stands in a field."""
    options, identifier = _HEAD.unpack_from(value)
    asked = value[_HEAD.size :].decode()
    return SubscriptionRow(
        number,
        topic_filter,
        options & 3,
        int(bool(options & _NO_LOCAL)),
        int(bool(options & _RETAIN_AS_PUBLISHED)),
        identifier or None,
        asked or topic_filter,
        int(bool(options & _SEARCHING)),
    )


def identifier_field(packet_id: int) -> bytes:
    """The field of a packet identifier of QoS 2 that a client has yet to release."""
    return b"i:%d" % packet_id
