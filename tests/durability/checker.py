"""What a broker has promised, held against what it did: a pure function of a history.

The history ends settled: all clients have come back and have taken everything that was for them.
What the rules leave out is what nobody promises: a message that was never acknowledged may come or
not, one that a subscription had been given up for may come or not, and members of a shared group
get no order.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from math import inf

from tests.durability.account import NEVER, Account, Connection, Delivery, Message, account_of
from tests.durability.candidates import candidates, groups
from tests.durability.history import (
    EARLY,
    LATE,
    Connected,
    History,
    Looked,
    Looking,
    Received,
    Violated,
)

SHOWN = 5  # of the messages that might be retained


class Kind(StrEnum):
    """What a violation is, as the columns of a table."""

    LOST = "lost"
    REPEATED = "QoS 2 repeated"
    REORDERED = "out of order"
    UNSENT = "never sent"
    UNWANTED = "not subscribed"
    RETAINED = "retained"
    SESSION = "session"
    SHARED = "shared"
    EXPIRY = "expiry"
    WILL = "will"
    PROTOCOL = "protocol"


@dataclass(frozen=True, slots=True)
class Violation:
    kind: Kind
    what: str
    number: int | None = None  # of the message


def check(history: History) -> list[Violation]:
    """Everything in the history that is not as promised."""
    account = account_of(history)
    return [
        *_never_sent(account, history),
        *_not_subscribed(account),
        *_lost(account),
        *_lost_by_groups(account),
        *_repeated(account),
        *_members(account),
        *_reordered(account),
        *_expiry(account),
        *_retained(account, history),
        *_sessions(account, history),
        *_wills(account, history),
        *_forbidden(account, history),
    ]


def _text(message: Message) -> str:
    return f"message {message.number} of {message.publisher} (QoS {message.qos}, {message.topic})"


def _never_sent(account: Account, history: History) -> Iterator[Violation]:
    """What comes has been sent before, on that topic, with that payload."""
    for index, event in enumerate(history):
        if not isinstance(event, Received):
            continue
        message = None if event.number is None else account.messages.get(event.number)
        if message is None or message.invoked > index or message.topic != event.topic:
            what = f"{event.client} got message {event.number} on {event.topic}, which nobody sent"
            yield Violation(Kind.UNSENT, what, event.number)


def _not_subscribed(account: Account) -> Iterator[Violation]:
    """What comes is for a subscription, and has the QoS that it should have."""
    for delivery in account.deliveries:
        message = account.messages.get(delivery.number)
        if message is None or delivery.retain:
            continue
        lives = candidates(account, delivery, message)
        if not lives:
            what = f"{delivery.client} got {_text(message)} without a subscription to it"
            yield Violation(Kind.UNWANTED, what, message.number)
        elif all(min(qos, message.qos) != delivery.qos for life in lives for qos in life.qos):
            what = f"{delivery.client} got {_text(message)} at QoS {delivery.qos}"
            yield Violation(Kind.UNWANTED, what, message.number)


def _lost(account: Account) -> Iterator[Violation]:
    """An acknowledged message comes to each durable session that was surely subscribed."""
    got = {(delivery.client, delivery.number) for delivery in account.deliveries}
    for message in account.messages.values():
        for life in account.lives_for(message.topic):
            if life.group is not None or not life.is_owed(message):
                continue
            if (life.client, message.number) not in got:
                what = f"{life.client} never got {_text(message)}, which was acknowledged"
                yield Violation(Kind.LOST, what, message.number)


def _lost_by_groups(account: Account) -> Iterator[Violation]:
    """An acknowledged message comes to a member of each group; one who leaves may take it along."""
    got = {(delivery.client, delivery.number) for delivery in account.deliveries}
    for (name, _), members in groups(account).items():
        for message in account.messages.values():
            if not any(life.is_owed(message) for life in members):
                continue
            if not members[0].matches(message.topic):
                continue
            if any(message.invoked < life.given_up < NEVER for life in members):
                continue
            if not any((life.client, message.number) in got for life in members):
                what = f"no member of {name} got {_text(message)}, which was acknowledged"
                yield Violation(Kind.LOST, what, message.number)


def _exact(account: Account) -> dict[int, list[Delivery]]:
    """Of the QoS 2 messages, what came at QoS 2 as well."""
    found: dict[int, list[Delivery]] = {}
    for delivery in account.deliveries:
        message = account.messages.get(delivery.number)
        if message is not None and message.qos == delivery.qos == 2 and not delivery.retain:
            found.setdefault(delivery.number, []).append(delivery)
    return found


def _repeated(account: Account) -> Iterator[Violation]:
    """QoS 2 end to end is exactly once for each subscription."""
    for number, deliveries in _exact(account).items():
        message = account.messages[number]
        for client, times in Counter(delivery.client for delivery in deliveries).items():
            filters = {
                life.topic_filter
                for life in account.lives_for(message.topic)
                if life.client == client and life.may_have(message)
            }
            if times > max(1, len(filters)):
                what = f"{client} got {_text(message)} {times} times"
                yield Violation(Kind.REPEATED, what, number)


def _members(account: Account) -> Iterator[Violation]:
    """A message goes to one member of a group.

    At QoS 1 another may get it where the publisher has sent it again, and where the member who had
    it went away (§4.8.2), or its node was cut off before it could tell. At QoS 2 it stays with the
    one.
    """
    by_number: defaultdict[int, list[Delivery]] = defaultdict(list)
    for delivery in account.deliveries:
        by_number[delivery.number].append(delivery)
    ends = {connection.index: connection.ended for connection in account.connections}
    nodes = {connection.index: connection.connecting.node for connection in account.connections}
    for (name, _), members in groups(account).items():
        clients = {life.client for life in members}
        for number, deliveries in by_number.items():
            message = account.messages.get(number)
            if message is None or not members[0].matches(message.topic):
                continue
            theirs = [each for each in deliveries if each.client in clients and not each.retain]
            if len({each.client for each in theirs}) < 2:
                continue
            may_move = message.was_resent or any(
                ends.get(first.connection, NEVER) < second.index
                or any(
                    where in ("", nodes.get(first.connection)) and begin - LATE < first.at < end
                    for where, begin, end in account.cuts
                )
                for first in theirs
                for second in theirs
                if first.client != second.client and first.index < second.index
            )
            if (message.qos == 2 and all(each.qos == 2 for each in theirs)) or not may_move:
                what = f"{len({each.client for each in theirs})} members of {name} got"
                yield Violation(Kind.SHARED, f"{what} {_text(message)}", number)


def _reordered(account: Account) -> Iterator[Violation]:
    """First deliveries keep the order of their publisher, topic and QoS (§4.6)."""
    seen: set[tuple[str, int]] = set()
    last: dict[tuple[str, str, str, int, int], Message] = {}
    for delivery in account.deliveries:
        message = account.messages.get(delivery.number)
        if message is None or message.is_will or delivery.retain:
            continue
        if (delivery.client, delivery.number) in seen:
            continue
        seen.add((delivery.client, delivery.number))
        lives = candidates(account, delivery, message)
        # What was sent before the subscription was sure may come later, when it is sent again.
        if not lives or any(
            life.group is not None or life.acknowledged > message.invoked for life in lives
        ):
            continue
        if message.was_resent and delivery.at > message.sent_at + (message.expiry or inf):
            continue  # it had expired on its way, and was anew when it was sent again
        key = (delivery.client, message.publisher, message.topic, message.qos, delivery.qos)
        before = last.get(key)
        if before is not None and before.invoked > message.invoked:
            what = f"{delivery.client} got {_text(message)} after {before.number}"
            yield Violation(Kind.REORDERED, what, message.number)
        else:
            last[key] = message


def _expiry(account: Account) -> Iterator[Violation]:
    """What has expired is not sent, unless it was before; and what is sent says what is left.

    A message is received between its first byte and its acknowledgement, and sent some time before
    it comes. What is left is told to whoever speaks MQTT 5.
    """
    speaks = {connection.client: connection.connecting.is_v5 for connection in account.connections}
    for delivery in account.deliveries:
        message = account.messages.get(delivery.number)
        if message is None or message.expiry is None or message.acknowledged == NEVER:
            continue
        least = message.expiry - (delivery.at - message.sent_at) - EARLY
        most = message.expiry - (delivery.at - message.acknowledged_at) + LATE
        text = f"{delivery.client} got {_text(message)}, which expires after {message.expiry} s,"
        if most < 0 and not delivery.dup:
            yield Violation(Kind.EXPIRY, f"{text} {-most:.1f} s too late", message.number)
        elif delivery.expiry is None:
            if speaks.get(delivery.client):
                yield Violation(Kind.EXPIRY, f"{text} as if it never did", message.number)
        elif not least <= delivery.expiry <= max(most, 1):
            yield Violation(Kind.EXPIRY, f"{text} with {delivery.expiry} s left", message.number)


@dataclass(frozen=True, slots=True)
class _Value:
    """What may be retained: a message, or nothing (None)."""

    number: int | None
    invoked: int
    done: int


def _retained(account: Account, history: History) -> Iterator[Violation]:
    """What is retained is the last that was done before, or one that was under way."""
    values: defaultdict[str, list[_Value]] = defaultdict(lambda: [_Value(None, -1, -1)])
    for message in account.messages.values():
        if message.retain:
            number = None if message.is_removal else message.number
            values[message.topic].append(_Value(number, message.invoked, message.done))
    # For each topic, the earlier looks: where they began, and what they saw.
    looks: defaultdict[str, list[tuple[int, int | None]]] = defaultdict(list)
    began: dict[str, tuple[int, Looking]] = {}
    for index, event in enumerate(history):
        if isinstance(event, Looking):
            began[event.client] = index, event
        if not isinstance(event, Looked) or event.client not in began:
            continue
        start, looking = began.pop(event.client)
        found = dict(event.found)
        for topic in looking.topics:
            newest = max(value.invoked for value in values[topic] if value.done < start)
            number = found.get(topic)
            if not any(
                value.number == number
                and value.invoked < index
                and value.done >= newest
                # It was gone when somebody looked, and nobody has sent it since.
                and all(value.done > at or seen == number for at, seen in looks[topic])
                for value in values[topic]
            ):
                expected = [
                    each.number
                    for each in values[topic]
                    if each.invoked < index and newest <= each.done
                ]
                what = f"{topic} retains {number}, and not one of {expected[-SHOWN:]}"
                yield Violation(Kind.RETAINED, what, number)
            looks[topic].append((start, number))


def _sessions(account: Account, history: History) -> Iterator[Violation]:
    """A session is there when its client comes back, and gone when it has ended."""
    before: dict[str, Connection] = {}  # the last that was accepted
    is_clear: dict[str, bool] = {}  # no connection without an answer has ended it since
    has_begun: dict[str, bool] = {}  # one may have begun another that lasts
    for connection in account.connections:
        client, connecting = connection.client, connection.connecting
        last = before.get(client)
        expected: bool | None = False
        answer = history[connection.connected] if connection.connected < NEVER else None
        if answer is None:
            # It may have made a session, or ended one.
            is_clear[client] = is_clear.get(client, False) and not connecting.clean_start
            has_begun[client] = has_begun.get(client, False) or connecting.expiry > 0
            before.setdefault(client, connection)
            continue
        assert isinstance(answer, Connected)
        if not connecting.clean_start and last is not None:
            starts = account.starts_until(connecting.at)
            expected = last.session_is_there(connecting.at, answer.at, starts)
            if not is_clear[client] or (has_begun[client] and not expected):
                expected = None
        if expected is not None and answer.session_present != expected:
            what = "lost" if expected else "there, which had ended or never was"
            yield Violation(Kind.SESSION, f"the session of {client} is {what}")
        before[client], is_clear[client], has_begun[client] = connection, True, False


def _wills(account: Account, history: History) -> Iterator[Violation]:
    """A will is published after its delay, unless its client said goodbye or came back before."""
    got: defaultdict[int, list[Delivery]] = defaultdict(list)
    for delivery in account.deliveries:
        got[delivery.number].append(delivery)
    following: dict[str, Connection] = {}
    finish = history[-1].at if history else 0.0
    for connection in reversed(account.connections):
        after = following.get(connection.client)
        following[connection.client] = connection
        if connection.connecting.will is not None and connection.connected < NEVER:
            yield from _will(account, connection, after, got, finish)


def _will(
    account: Account,
    connection: Connection,
    after: Connection | None,
    got: dict[int, list[Delivery]],
    finish: float,
) -> Iterator[Violation]:
    will = connection.connecting.will
    assert will is not None
    # It does not wait longer than the session lives.
    delay = min(will.delay, connection.connecting.expiry)
    name = f"the will {will.number} of {connection.client} (QoS {will.qos}, delay {delay:g})"
    end, back = connection.ended_at, float("inf") if after is None else after.connected_at
    deliveries = got.get(will.number, [])
    if after is not None and after.connecting.clean_start:
        return  # the session has ended before the delay
    if connection.said_goodbye and end > _surely_handled(account, connection, after):
        return  # DISCONNECT has no answer: the broker may have ended before it came
    if connection.said_goodbye and account.is_cut(connection):
        return  # nobody else was told
    if connection.said_goodbye or (delay and back < end + delay - EARLY):
        if deliveries:
            reason = "said goodbye" if connection.said_goodbye else "came back before"
            yield Violation(Kind.WILL, f"{name} came, although its client {reason}", will.number)
        return
    stops = (stop for stop in account.stops if connection.connected_at < stop < end)
    begun = min([end, *stops])
    if any(delivery.at < begun + delay - EARLY for delivery in deliveries):
        yield Violation(Kind.WILL, f"{name} came too early", will.number)
    # A broker that has been away may count the delay from its return.
    deadline = max([end, *(start for start in account.starts_until(back) if end <= start)])
    deadline += delay + LATE
    if deadline > (min(back, finish) if delay else finish):
        return
    clients = {delivery.client for delivery in deliveries}
    for life in account.lives_for(will.topic):
        stays = life.given_up == life.lost == NEVER
        if (
            life.acknowledged < connection.index
            and stays
            and life.group is None
            and life.client not in clients
        ):
            yield Violation(Kind.WILL, f"{life.client} never got {name}", will.number)


def _surely_handled(account: Account, connection: Connection, after: Connection | None) -> float:
    """Until when a DISCONNECT must have been sent for the broker to have handled it in any case."""
    index, at = account.next_end(connection.ended)
    return after.connected_at if after is not None and after.connected < index else at - EARLY


def _forbidden(account: Account, history: History) -> Iterator[Violation]:
    """What clients have noticed, and identifiers that were used before they were free."""
    for event in history:
        if isinstance(event, Violated):
            yield Violation(Kind.PROTOCOL, f"{event.client}: {event.what}")
    for _, received in account.confused:
        what = f"{received.client} got message {received.number} with the packet identifier"
        yield Violation(Kind.PROTOCOL, f"{what} {received.packet_id}, which was not free")
