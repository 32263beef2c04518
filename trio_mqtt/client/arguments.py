"""Arguments that are of the wrong kind are refused here, in words that help, before all else."""

from __future__ import annotations

from typing import Any, TypeAlias

from trio_mqtt.errors import LocalProtocolError
from trio_mqtt.protocol.encoding import encode_message_properties, encode_topic_name
from trio_mqtt.protocol.packet_types import PacketType, ProtocolVersion
from trio_mqtt.protocol.properties import BY_NAME, Property, WireType
from trio_mqtt.protocol.reason_codes import ALLOWED, ReasonCode
from trio_mqtt.protocol.topics import topic_filter_problem

# What a payload may be given as; str is sent as UTF-8.
Payload: TypeAlias = bytes | bytearray | memoryview | str

# MQTT 5.0 §3.14.2.1: those that are not the server's alone.
_CLIENT_MAY_LEAVE_WITH = frozenset({
    0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99,
})  # fmt: skip

# §3.4.2.1: that nobody has subscribed is the server's to say.
_CLIENT_MAY_ACKNOWLEDGE_WITH = ALLOWED[PacketType.PUBACK] - {ReasonCode.NO_MATCHING_SUBSCRIBERS}

_ADVICE: dict[type, str] = {
    type(None): "for an empty one, leave it out or pass b''",
    bool: "pass str(value) or json.dumps(value)",
    int: "pass str(value)",
    float: "pass str(value)",
    dict: "pass json.dumps(value)",
    list: "pass json.dumps(value)",
    tuple: "pass json.dumps(value)",
}


def payload_bytes(payload: object) -> bytes:
    """A payload as the bytes to send, which nobody else can change.

    Raises TypeError for what is neither text nor bytes.
    """
    if isinstance(payload, bytes):
        return payload
    if isinstance(payload, str):
        try:
            return payload.encode()
        except UnicodeEncodeError:
            raise LocalProtocolError(
                "The payload holds a character that UTF-8 cannot carry."
            ) from None
    if isinstance(payload, bytearray | memoryview):
        return bytes(payload)
    advice = _ADVICE.get(type(payload), "turn it into one of these")
    raise TypeError(
        f"A payload is bytes, bytearray, memoryview or str, not {kind_of(payload)}: {advice}."
    )


def check_topic(topic: object) -> None:
    """Raise TypeError or LocalProtocolError, a ValueError, for what is not a topic name."""
    if not isinstance(topic, str):
        raise TypeError(f"A topic is a str, not {kind_of(topic)}.")
    encode_topic_name(topic)


def check_qos(qos: object) -> None:
    """Raise TypeError or LocalProtocolError for what is not a QoS."""
    if not isinstance(qos, int):
        raise TypeError(f"A QoS is an int: 0, 1 or 2, not {kind_of(qos)}.")
    if not 0 <= qos <= 2:
        raise LocalProtocolError(f"There is no QoS {qos}: it is 0, 1 or 2.")


def check_filters(filters: tuple[object, ...]) -> None:
    """Raise TypeError or LocalProtocolError for what are not topic filters."""
    if not filters:
        raise LocalProtocolError("A subscription needs at least one topic filter.")
    for topic_filter in filters:
        if not isinstance(topic_filter, str):
            hint = " (each is an argument of its own)" if isinstance(topic_filter, list) else ""
            raise TypeError(f"A topic filter is a str, not {kind_of(topic_filter)}{hint}.")
        problem = topic_filter_problem(topic_filter)
        if problem is not None:
            raise LocalProtocolError(f"The topic filter {topic_filter!r} {problem}.")


def check_subscription(qos: object, retain_handling: object) -> None:
    """Raise TypeError or LocalProtocolError for options that no subscription can have."""
    check_qos(qos)
    if retain_handling not in (0, 1, 2):
        raise LocalProtocolError(f"There is no retain handling {retain_handling!r}: 0, 1 or 2.")


def check_buffer(buffer: object, overflow: object, manual: bool) -> None:
    """Raise TypeError or LocalProtocolError for what messages cannot wait in."""
    if not isinstance(buffer, int):
        raise TypeError(f"A buffer is an int, in messages, not {kind_of(buffer)}.")
    if buffer < 1:
        raise LocalProtocolError(f"A buffer of {buffer} messages holds none: the least is 1.")
    if overflow not in ("wait", "drop_oldest", "drop_newest"):
        raise LocalProtocolError(
            f"There is no overflow {overflow!r}: it is 'wait', 'drop_oldest' or 'drop_newest'."
        )
    if manual and overflow != "wait":
        raise LocalProtocolError(
            "Dropping would acknowledge messages that the program is to acknowledge:"
            " manual acknowledgement goes with overflow='wait'."
        )


def check_message_properties(properties: object) -> None:
    """Raise TypeError or LocalProtocolError for properties that no message may carry (§3.3.2.3)."""
    if not isinstance(properties, dict):
        raise TypeError(f"Properties are a dict, not {kind_of(properties)}.")
    if "topic_alias" in properties or "subscription_identifier" in properties:
        raise LocalProtocolError(
            "Topic aliases and subscription identifiers are not for programs to set."
        )
    check_property_kinds(properties)
    try:
        encode_message_properties(properties)  # type: ignore[arg-type]  # keys are checked there
    except LocalProtocolError as error:
        sentence = str(error).removesuffix(".")
        raise LocalProtocolError(f"{sentence[0].upper()}{sentence[1:]}.") from None


def check_acknowledgement(reason_code: object, reason_string: object) -> None:
    """Raise TypeError or LocalProtocolError for what no client acknowledges a message with."""
    if not isinstance(reason_code, int):
        raise TypeError(f"A reason code is a ReasonCode, not {kind_of(reason_code)}.")
    if reason_code not in _CLIENT_MAY_ACKNOWLEDGE_WITH:
        raise LocalProtocolError(
            f"A client must not acknowledge with the reason {reason_code:#04x} (§3.4.2.1)."
        )
    if not isinstance(reason_string, str):
        raise TypeError(f"A reason string is a str, not {kind_of(reason_string)}.")
    check_message_properties({"user_property": [("", reason_string)]})  # as text on the wire


def check_request_properties(properties: object) -> None:
    """Raise TypeError or LocalProtocolError for what SUBSCRIBE or UNSUBSCRIBE cannot carry."""
    if isinstance(properties, dict) and set(properties) != {"user_property"}:
        raise LocalProtocolError(
            "Of the properties of SUBSCRIBE and UNSUBSCRIBE, a program sets user_property"
            " (and the subscription identifier by its own argument)."
        )
    check_property_kinds(properties)


def check_filters_per_packet(count: object) -> None:
    """Raise TypeError or LocalProtocolError for what is no number of topic filters."""
    if not isinstance(count, int):
        raise TypeError(f"filters_per_packet is an int, not {kind_of(count)}.")
    if count < 1:
        raise LocalProtocolError(f"Requests of {count} topic filters ask for nothing: 1 at least.")


def checked_topic_aliases(count: object) -> int:
    """How many topic aliases to use at most. Raises TypeError or LocalProtocolError."""
    if not isinstance(count, int):
        raise TypeError(f"topic_aliases is a bool or an int, not {kind_of(count)}.")
    if count is True:
        return 65_535
    if not 0 <= count <= 65_535:
        raise LocalProtocolError(f"There are no {count} topic aliases: 65,535 at most.")
    return count


def checked_disconnect(
    reason_code: object, properties: object, version: ProtocolVersion
) -> ReasonCode:
    """The reason code of a client's DISCONNECT. Raises TypeError or LocalProtocolError."""
    if not isinstance(reason_code, int):
        raise TypeError(f"A reason code is a ReasonCode, not {kind_of(reason_code)}.")
    if reason_code not in _CLIENT_MAY_LEAVE_WITH:
        raise LocalProtocolError(
            f"A client must not disconnect with the reason {reason_code:#04x}."
        )
    if properties is not None:
        check_property_kinds(properties)
    if version != ProtocolVersion.V5 and (reason_code or properties):
        raise LocalProtocolError(f"In MQTT {version.text}, DISCONNECT can say nothing.")
    return ReasonCode(reason_code)


def check_property_kinds(properties: object) -> None:
    """Raise TypeError for properties whose values are of other types than the standard's."""
    if not isinstance(properties, dict):
        raise TypeError(f"Properties are a dict, not {kind_of(properties)}.")
    for name, value in properties.items():
        row = BY_NAME.get(name)
        if row is not None:
            _check_value(row, value)


def _check_value(row: Property, value: object) -> None:
    if row.type is WireType.UTF8_PAIR:
        if not isinstance(value, list | tuple) or not all(map(_is_pair, value)):
            raise TypeError(f"{row.name} is a list of pairs of str, such as [('name', 'value')].")
        return
    kind: type[Any] = int
    if row.type is WireType.UTF8:
        kind = str
    elif row.type is WireType.BINARY:
        kind = bytes
    if not isinstance(value, kind):
        raise TypeError(f"{row.name} is {kind.__name__}, not {kind_of(value)}.")


def _is_pair(value: object) -> bool:
    return (
        isinstance(value, tuple | list)
        and len(value) == 2
        and all(isinstance(part, str) for part in value)
    )


def kind_of(value: object) -> str:
    """What a wrong value is, as it reads in a sentence."""
    return "None" if value is None else type(value).__name__
