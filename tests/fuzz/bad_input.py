"""What has broken real brokers, by hand: each of these happened somewhere."""

from __future__ import annotations

from tests.fuzz.grammar import V5, V311, Kind, Node, leaf, number, packet, text, variable


def _connect(*payload: Node, level: int = V5, flags: int = 2, properties: bytes = b"") -> bytes:
    block = [Node(Kind.BLOCK, properties)] if level == V5 else []
    return packet(
        0x10, text("MQTT"), number(level, 1), number(flags, 1), number(60, 2), *block, *payload
    ).encode()


def _v3(*payload: Node, flags: int = 2) -> bytes:
    return _connect(*payload, level=V311, flags=flags)


_ONE_USER_PROPERTY = b"\x26\x00\x01k\x00\x01v"
_WILL = (Node(Kind.BLOCK), text("fuzz/a"), text("will"))

# Not one of these may be accepted (MQTT 5.0 §3.1, MQTT 3.1.1 §3.1).
BAD_CONNECTS: tuple[bytes, ...] = (
    b"\x10\xff\xff\xff\x7f",  # a length that no CONNECT has
    b"\x10\xff\xff\xff\xff\x01",  # five bytes of length
    b"\x10\x80\x80\x80\x80\x01",
    b"\x10\x00",
    b"\x30\xff\xff\xff\x7f" + bytes(100),
    b"\x00\x00", b"\xf0\x00", b"\x20\x02\x00\x00", b"\xc0\x00", b"\xe0\x00",
    b"\x11" + _v3(text("x"))[1:],  # flags that are reserved
    _v3(text("x"), flags=3),
    _v3(text("x"), flags=0x1A | 0x04),  # QoS 3 of the will
    _v3(text("x"), flags=0x0A),  # QoS of no will
    _v3(text("x"), flags=0x22),  # RETAIN of no will
    _v3(text("x"), flags=0x42 & 0x40 | 2),  # a password without a user name (3.1.1)
    _v3(text("x"), flags=0x82),  # the user name is missing
    _v3(text("x"), text("u"), text("p"), flags=0x82),  # more than there should be
    _v3(text("x\0y")), _v3(text(b"\xed\xa0\x80")), _v3(text(b"\xc0\x80")), _v3(text(b"\xff")),
    _v3(text(""), flags=0),  # a session without a name (3.1.1)
    _v3(text("x"), text("fuzz/#"), text("will"), flags=6),
    _v3(text("x"), text("fuzz/\0"), text("will"), flags=6),
    _connect(text("x"), level=V5, properties=b"\x21\x00\x00"),  # receive maximum 0
    _connect(text("x"), properties=b"\x27\x00\x00\x00\x00"),  # maximum packet size 0
    _connect(text("x"), properties=b"\x21\x00\x01\x21\x00\x01"),
    _connect(text("x"), properties=b"\x11\x00\x00\x00\x01\x11\x00\x00\x00\x01"),
    _connect(text("x"), properties=b"\x17\x02"),
    _connect(text("x"), properties=b"\x19\x02"),
    _connect(text("x"), properties=b"\x01\x00"),  # of PUBLISH
    _connect(text("x"), properties=b"\x12\x00\x01x"),  # of CONNACK
    _connect(text("x"), properties=b"\x7f\x00"),
    _connect(text("x"), properties=b"\x16\x00\x01x"),  # data without a method
    _connect(text("x"), properties=_ONE_USER_PROPERTY * 20_000)[:300_000],
    _connect(text("x"), *_WILL[1:], flags=6),  # the will has no properties
    _connect(text("x"), Node(Kind.BLOCK, b"\x18\x00\x00\x00\x01" * 2), *_WILL[1:], flags=6),
    _connect(text("x"), Node(Kind.BLOCK, b"\x01\x02"), *_WILL[1:], flags=6),
    _connect(text("x"), Node(Kind.BLOCK, b"\x08\x00\x01#"), *_WILL[1:], flags=6),
    packet(0x10, text("MQTT"), number(6, 1), number(2, 1), number(60, 2), text("x")).encode(),
    packet(0x10, text("MQTt"), number(5, 1), number(2, 1), number(60, 2), text("x")).encode(),
    packet(0x10, text("MQTT" * 9_000), number(5, 1)).encode(),
)  # fmt: skip


def _publish(topic: str | bytes, properties: bytes | None, first: int = 0x30) -> bytes:
    block = [] if properties is None else [Node(Kind.BLOCK, properties)]
    identifier = [number(7, 2)] if first & 6 else []
    return packet(first, text(topic), *identifier, *block, leaf(b"x")).encode()


def _packets(is_v5: bool) -> tuple[bytes, ...]:
    none = b"" if is_v5 else None
    block = [Node(Kind.BLOCK)] if is_v5 else []
    found = [
        _publish("", none), _publish("a/#", none), _publish("+", none), _publish(b"a\0b", none),
        _publish(b"\xed\xa0\x80", none), _publish("x", none, 0x36), _publish("x", none, 0x38),
        _publish("$SYS/broker/uptime", none, 0x31), _publish("/" * 60_000, none),
        _publish("a/" * 10_000, none),
        packet(0x32, text("x")).encode(),  # no identifier
        packet(0x32, text("x"), number(0, 2), *block).encode(),
        packet(0x82, number(0, 2), *block, text("x"), number(0, 1)).encode(),
        packet(0x82, number(1, 2), *block).encode(),  # no filter
        packet(0x82, number(1, 2), *block, text("x")).encode(),  # no options
        packet(0x82, number(1, 2), *block, text("x"), number(3, 1)).encode(),
        packet(0x82, number(1, 2), *block, text("x"), number(0xC0, 1)).encode(),
        packet(0x80, number(1, 2), *block, text("x"), number(0, 1)).encode(),
        packet(0x82, number(1, 2), *block, text("/" * 65_535), number(0, 1)).encode(),
        packet(0x82, number(1, 2), *block, *[text("f/+/x"), number(0, 1)] * 5_000).encode(),
        packet(0x82, number(1, 2), *block, text("+/" * 100 + "#"), number(2, 1)).encode(),
        packet(0xA2, number(1, 2), *block).encode(),
        packet(0xA0, number(1, 2), *block, text("x")).encode(),
        packet(0x60, number(1, 2)).encode(), packet(0x62, number(0, 2)).encode(),
        packet(0x40, number(0, 2)).encode(), packet(0x40, number(9, 1)).encode(),
        b"\xc0\x01x", b"\xc1\x00", b"\x20\x02\x00\x00", b"\x90\x03\x00\x01\x00",
        b"\xb0\x02\x00\x01", b"\xd0\x00", b"\x00\x00", b"\xf0\x00",
        b"\x30\xff\xff\xff\xff\x01", b"\x30\x80\x80\x80\x00", b"\x30\xff\xff\xff\x7f",
        b"\x82\xff\xff\xff\x7f", _connect(text("again")), _v3(text("again")),
        _publish("fuzz/q2", none, 0x34) * 300,  # one identifier, again and again
        b"".join(packet(0x34, text("fuzz/q"), number(n, 2), *block, leaf(b"x")).encode()
                 for n in range(1, 1_500)),  # never released
    ]  # fmt: skip
    if is_v5:
        found += [
            _publish("", b"\x23\x00\x00"), _publish("", b"\x23\x00\x07"),
            _publish("x", b"\x23\xff\xff"), _publish("x", b"\x01\x02"),
            _publish("x", b"\x0b\x01"), _publish("x", b"\x0b\x80\x80\x80\x80\x01"),
            _publish("x", b"\x08\x00\x01#"), _publish("x", _ONE_USER_PROPERTY * 5_000),
            _publish("x", b"\x02\x00\x00\x00\x00"), _publish("x", b"\x03\x00\x01a" * 2),
            _publish("x", b"\x09\xff\xff"), variable(0x30) + b"\x05\x00\x01x\x7f\x00",
            packet(
                0x82, number(1, 2), Node(Kind.BLOCK, b"\x0b\x00"), text("x"), number(0, 1)
            ).encode(),
            packet(0x82, number(1, 2), *block, text("$share/g/x"), number(4, 1)).encode(),
            packet(0x82, number(1, 2), *block, text("$share//x"), number(0, 1)).encode(),
            packet(0x82, number(1, 2), *block, text("x"), number(0x30, 1)).encode(),
            packet(0xE0, number(0, 1), Node(Kind.BLOCK, b"\x11\x00\x00\x00\x09")).encode(),
            packet(0xE0, number(1, 1)).encode(), packet(0xF0, number(0x19, 1)).encode(),
            packet(0x40, number(1, 2), number(0x55, 1)).encode(),
        ]  # fmt: skip
    return tuple(found)


# After a CONNECT of MQTT 3.1.1, and of MQTT 5.
BAD_PACKETS: tuple[tuple[bytes, ...], tuple[bytes, ...]] = (_packets(False), _packets(True))

# What no MQTT client begins with.
BAD_STREAMS: tuple[bytes, ...] = (
    b"",
    b"\x10",
    b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /mqtt HTTP/1.1\r\n" + b"X: y\r\n" * 20_000,
    b"POST /" + b"a" * 100_000,
    b"PROXY TCP4 1.2.3.4 5.6.7.8 99999 1\r\n",
    b"PROXY TCP4 127.0.0.1 127.0.0.1 1 1\r\n",
    b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff" + bytes(40),
    bytes.fromhex("16030100c4010000c00303") + bytes(180),
    b"\x16\x03\x01\xff\xff" + bytes(20_000),
    b"SSH-2.0-OpenSSH_9.0\r\n",
    bytes(100_000),
    b"\xff" * 100_000,
)
