"""Runs of PUBLISH packets, found in what has come: this is a path that most messages take."""

from __future__ import annotations

from trio_mqtt.errors import MalformedPacketError
from trio_mqtt.protocol.equal_packets import decode_equal_packets
from trio_mqtt.protocol.publish import PublishRun
from trio_mqtt.protocol.wire import known_topics, long_remaining_length, topic_name

_LONGEST_RUN = 4_096  # packets at most
_LONGEST_AT_QOS_1 = 1_024  # which are answered
_MOST_MIXED = 1_024  # messages in a run after which no other topic begins
_SEVERAL = 8  # packets, before it is looked whether all are of one length
_SMALLEST = 5  # bytes of a packet, with a topic of one character and no payload
_UNBOUNDED = 1 << 62
_ONE_STRETCH = [0]  # of all runs that have one, as most do: nobody changes it


def decode_publish_run(
    data: bytes, start: int, end: int, kind: int, maximum: int, *, is_v5: bool
) -> PublishRun | None:
    """The run that begins at `start`; None if what is there is no part of one.

    All begin with the byte `kind`. It ends before the first packet that is not like the
    others, or not right, which then gets a look of its own: nothing is refused here.
    """
    qos = kind >> 1 & 3
    longest = _LONGEST_AT_QOS_1 if qos else _LONGEST_RUN
    if end - start > _SEVERAL * data[start + 1]:  # else they are too few, or not of one length
        equal = decode_equal_packets(data, start, end, maximum, longest, _MOST_MIXED, is_v5=is_v5)
        if equal is not None:
            return equal
    identifier = 2 if qos else 0  # bytes
    starts: list[int] = []
    ids_at: list[int] = []
    topics: list[str] = []
    firsts: list[int] = []
    headers: list[int] = []
    # The topic of the stretch with its length, how many bytes that is with the packet
    # identifier, and how many stand before the payload. A packet without a topic needs an
    # alias, which it cannot have here.
    known, size, each = b"\0\0", _UNBOUNDED, 0
    first = header = 0
    position = start
    while True:
        # In pieces that hold no more packets than are wanted, however small these are: comparing
        # places costs less than counting packets, and a few pieces make a run.
        last = min(end - _SMALLEST, position + (_LONGEST_RUN - len(starts) - 1) * _SMALLEST)
        while position <= last and data[position] == kind:
            length = data[position + 1]
            body = position + 2
            if length > 127:
                try:
                    length, body = long_remaining_length(data, position, end)
                except MalformedPacketError:
                    break
                if body == 0:
                    break
            stop = body + length
            if (
                stop > end
                or stop - position > maximum
                or (qos and len(ids_at) == _LONGEST_AT_QOS_1)
            ):
                break
            if data.startswith(known, body):
                at = body + size
                if (
                    at > stop
                    or (qos and not (data[at - 1] or data[at - 2]))
                    or (is_v5 and (at == stop or data[at]))
                ):
                    break
            else:
                name_end = body + 2 + (data[body] << 8 | data[body + 1])
                at = name_end + identifier
                if (
                    at > stop
                    or name_end == body + 2
                    or (qos and not (data[at - 1] or data[at - 2]))
                    or (is_v5 and (at == stop or data[at]))
                ):
                    break
                count = len(starts)
                if count > _MOST_MIXED:
                    break
                known = data[body:name_end]
                topic = known_topics.get(known)
                if topic is None:
                    try:
                        topic = topic_name(known)
                    except MalformedPacketError:
                        break
                header += (count - first) * each
                size = at - body
                each = 2 + size + is_v5
                first = count
                topics.append(topic)
                firsts.append(count)
                headers.append(header)
            if qos:
                ids_at.append(at - 2 - start)
            if length > 127:
                header += body - position - 2
            starts.append(position - start)
            position = stop
        if position <= last or position > end - _SMALLEST or len(starts) >= _LONGEST_RUN:
            break
    if not starts:
        return None
    header += (len(starts) - first) * each
    frames = data[start:position]
    if len(topics) == 1:
        firsts = headers = _ONE_STRETCH
    return PublishRun(
        frames,
        starts,
        topics,
        firsts,
        headers,
        len(frames) - header,
        is_v5=is_v5,
        ids_at=ids_at,
    )
