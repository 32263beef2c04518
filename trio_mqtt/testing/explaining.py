"""What a test that failed is told: what was expected, what came instead, and what happened."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher

from trio_mqtt.testing.expectations import Expected, shown
from trio_mqtt.testing.recording import RecordedMessage, Recording

_ON_TOPIC = 5  # messages on the topic, and elsewhere, that are shown
_ELSEWHERE = 3
_LINES = 12  # of what else has happened
_CLIENTS = 10


def not_published(
    expected: Expected,
    recording: Recording,
    found: Sequence[RecordedMessage],
    count: int | None,
    within: float,
) -> str:
    """Why the message that was expected is not there, or not so often."""
    lines: list[str] = []
    if count is None:
        lines.append(f"No message {expected.text} came{_within(within)}.")
    else:
        lines.append(
            f"{_times(count)} a message {expected.text} was to come, and {len(found)} came"
            f"{_within(within)}."
        )
        lines += [f"  {_line(one)}" for one in found[:_ON_TOPIC]]
    matching = set(map(id, found))
    messages = [one for one in recording.messages if id(one) not in matching]
    near = [one for one in messages if expected.is_on_topic(one)]
    if near:
        lines.append("On that topic came instead:")
        near.sort(key=lambda one: len(expected.differences(one)))
        for one in near[:_ON_TOPIC]:
            lines.append(f"  {_line(one)}")
            lines += [f"      {difference}" for difference in expected.differences(one)]
        lines += _more(len(near) - _ON_TOPIC)
    elsewhere = [one for one in messages if not expected.is_on_topic(one)]
    if elsewhere:
        elsewhere.sort(key=lambda one: -_likeness(expected.topic_filter, one.topic))
        lines.append("Elsewhere came, the most similar topic first:")
        lines += [f"  {_line(one)}" for one in elsewhere[:_ELSEWHERE]]
        lines += _more(len(elsewhere) - _ELSEWHERE)
    if not messages and not found:
        lines.append("Nothing was published at all.")
    return "\n".join(lines + around(recording))


def published_all_the_same(found: Sequence[RecordedMessage], expected: Expected) -> str:
    """What came though it was not to come."""
    lines = [f"A message {expected.text} was not to come, and did:"]
    lines += [f"  {_line(one)}" for one in found[:_ON_TOPIC]]
    lines += _more(len(found) - _ON_TOPIC)
    return "\n".join(lines)


def not_subscribed(
    client_id: str,
    topic_filter: str,
    qos: int | None,
    subscriptions: Sequence[tuple[str, int]],
    recording: Recording,
    within: float,
) -> str:
    """Why a subscription is not there."""
    at = "" if qos is None else f" at QoS {qos}"
    lines = [f"{client_id!r} did not subscribe to {topic_filter!r}{at}{_within(within)}."]
    if subscriptions:
        lines.append("It is subscribed to:")
        lines += [f"  {one!r} at QoS {granted}" for one, granted in subscriptions]
    else:
        lines.append("It has no subscription.")
    return "\n".join(lines + around(recording))


def not_connected(client_id: str, recording: Recording, within: float) -> str:
    """Why a client is not there."""
    return "\n".join(
        [f"No client {client_id!r} connected{_within(within)}.", *around(recording)],
    )


def not_disconnected(client_id: str, recording: Recording, within: float) -> str:
    """A client is there still."""
    return "\n".join(
        [f"The client {client_id!r} is connected still{_within(within)}.", *around(recording)],
    )


def around(recording: Recording, most: int = _LINES) -> list[str]:
    """Who is connected, and what happened last."""
    connected = recording.connected
    named = ", ".join(map(repr, connected[:_CLIENTS]))
    more = f" and {len(connected) - _CLIENTS} more" if len(connected) > _CLIENTS else ""
    lines = [f"Connected: {named or 'nobody'}{more}."]
    last = list(recording.lines)[-most:]
    if last:
        lines.append("What happened last:")
        lines += [f"  {at:7.3f} s  {line}" for at, line in last]
    return lines


def _line(one: RecordedMessage) -> str:
    retained = ", retained" if one.retain else ""
    who = "the broker" if one.client_id is None else repr(one.client_id)
    return (
        f"{one.at:7.3f} s  {one.topic}: {shown(one.payload)} (QoS {one.qos}{retained}, from {who})"
    )


def _within(seconds: float) -> str:
    return f" within {seconds:g} s" if seconds > 0 else ""


def _times(count: int) -> str:
    return "Once" if count == 1 else f"{count} times"


def _more(count: int) -> list[str]:
    return [f"  and {count} more"] if count > 0 else []


def _likeness(topic_filter: str, topic: str) -> float:
    return SequenceMatcher(None, topic_filter, topic).ratio()
