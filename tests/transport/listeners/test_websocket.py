"""WebSocket at the broker's end (MQTT 5.0 §6): a byte stream in binary frames."""

from __future__ import annotations

import struct

import pytest
import trio

import trio_mqtt
from tests.broker.raw import Raw
from tests.inside import links_of
from tests.transport.dialing import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Certificates,
    dial,
    dial_tls,
    dial_websocket,
    exchange,
    frame,
    gone,
    greet,
    until_end,
)
from trio_mqtt import Limits, Listen, ServerTls
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import Connect, Publish

LOCAL = "ws://127.0.0.1:0"
CONNECT = encode(Connect("c"), ProtocolVersion.V5)


async def test_messages_go_both_ways() -> None:
    async with trio_mqtt.open_broker(LOCAL) as broker:
        assert broker.url.endswith("/mqtt")
        client = await greet(await dial_websocket(await dial(broker.url)))
        await exchange(client, "t")
        await client.stream.aclose()
        await gone(broker)


async def test_messages_go_both_ways_within_tls(certificates: Certificates) -> None:
    listen = Listen("wss://127.0.0.1:0", tls=ServerTls(certificates.server()))
    async with trio_mqtt.open_broker(listen) as broker:
        stream = await dial_tls(broker.url, certificates.trusting())
        client = await greet(await dial_websocket(stream))
        await exchange(client, "t")
        (connection,) = links_of(broker)
        assert connection.stream.origin.is_encrypted
        await client.stream.aclose()
        await gone(broker)


@pytest.mark.normative("MQTT-6.0.0-2")
@pytest.mark.normative_v311("MQTT-6.0.0-2")
async def test_frames_need_not_align_with_packets() -> None:
    async with trio_mqtt.open_broker(LOCAL) as broker:
        websocket = await dial_websocket(await dial(broker.url))
        client = Raw(websocket)
        # One byte to a frame, an empty one among them, and each frame in two writes.
        for byte in CONNECT:
            data = frame(bytes([byte])) + frame(b"")
            await websocket.stream.send_all(data[:3])
            await websocket.stream.send_all(data[3:])
        await client.expect(trio_mqtt.protocol.packets.ConnAck)
        await client.subscribe("t")
        # Many packets in one frame; and one packet in many fragments of a message.
        packets = b"".join(
            encode(Publish("t", b"%d" % number), ProtocolVersion.V5) for number in range(100)
        )
        await websocket.stream.send_all(frame(packets[:-1], final=False))
        await websocket.stream.send_all(frame(packets[-1:], CONTINUATION))
        for number in range(100):
            await client.expect_message("t", b"%d" % number)
        await websocket.aclose()


async def test_what_leaves_together_is_one_frame() -> None:
    async with trio_mqtt.open_broker(LOCAL) as broker:
        websocket = await dial_websocket(await dial(broker.url))
        client = await greet(websocket)
        await client.subscribe("t")
        before = websocket.binary
        await client.send(*[Publish("t", b"x")] * 100)
        for _ in range(100):
            await client.expect_message("t", b"x")
        assert websocket.binary == before + 1
        await websocket.aclose()


async def test_control_frames_between_fragments_are_answered() -> None:
    async with trio_mqtt.open_broker(LOCAL) as broker:
        websocket = await dial_websocket(await dial(broker.url))
        client = await greet(websocket)
        await client.subscribe("t")
        packet = encode(Publish("t", b"x" * 300), ProtocolVersion.V5)
        await websocket.stream.send_all(
            frame(packet[:100], final=False)
            + frame(b"one", PING)
            + frame(packet[100:200], CONTINUATION, final=False)
            + frame(b"unasked", PONG)
            + frame(b"two", PING)
            + frame(packet[200:], CONTINUATION)
        )
        await client.expect_message("t", b"x" * 300)
        assert websocket.others == [(PONG, b"one"), (PONG, b"two")]
        await websocket.aclose()


@pytest.mark.normative("MQTT-6.0.0-1")
@pytest.mark.normative_v311("MQTT-6.0.0-1")
@pytest.mark.parametrize("greeted", [True, False])
async def test_a_text_frame_ends_the_connection(greeted: bool) -> None:
    async with trio_mqtt.open_broker(LOCAL) as broker:
        websocket = await dial_websocket(await dial(broker.url))
        if greeted:
            await greet(websocket)
        await websocket.stream.send_all(frame(CONNECT, TEXT))
        with trio.fail_after(60):
            assert await websocket.receive_some() == b""
        ((opcode, payload),) = websocket.others
        assert (opcode, payload[:2]) == (CLOSE, struct.pack(">H", 1003))
        await websocket.aclose()
        await gone(broker)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (b"\x82\x05hello", 1002),  # not masked
        (frame(b"x", 3), 1002),
        (frame(b"x", PING, final=False), 1002),
        (frame(b"x" * 126, PING), 1002),
        (frame(b"x", CONTINUATION), 1002),
        (frame(b"x", BINARY | 0x40), 1002),
        (b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff" + b"mask", 1002),
        (b"\x82\xfe\x00\x01mask", 1002),
        (frame(b"\x03", CLOSE), 1002),
    ],
)
async def test_frames_that_break_the_rules_end_the_connection(words: bytes, code: int) -> None:
    async with trio_mqtt.open_broker(LOCAL) as broker:
        other = await greet(await dial_websocket(await dial(broker.url)), "other")
        websocket = await dial_websocket(await dial(broker.url))
        await greet(websocket)
        await websocket.stream.send_all(words)
        with trio.fail_after(60):
            assert await websocket.receive_some() == b""
        ((opcode, payload),) = websocket.others
        assert (opcode, payload[:2]) == (CLOSE, struct.pack(">H", code))
        await other.ping()
        for stream in (websocket, other.stream):
            await stream.aclose()


async def test_a_frame_that_claims_much_costs_nothing_and_mqtt_decides_about_its_bytes() -> None:
    limits = Limits(connect_timeout=0.3)
    async with trio_mqtt.open_broker(LOCAL, limits=limits) as broker:
        websocket = await dial_websocket(await dial(broker.url))
        await websocket.stream.send_all(b"\x82\xff" + struct.pack(">Q", 1 << 62) + b"\0\0\0\0")
        await websocket.stream.send_all(CONNECT)
        assert (await websocket.receive_some())[:1] == b"\x20"
        await websocket.stream.send_all(b"\x30" + b"\xff" * 4)  # a length of five bytes
        with trio.fail_after(60):
            assert (await websocket.receive_some())[:1] == b"\xe0"  # malformed: DISCONNECT
        await websocket.aclose()


async def test_the_closing_handshake_is_answered_and_no_will_is_lost() -> None:
    async with trio_mqtt.open_broker(LOCAL) as broker:
        websocket = await dial_websocket(await dial(broker.url))
        client = await greet(websocket)
        await client.subscribe("t")
        # A last message in the same write as the goodbye.
        packet = encode(Publish("u", b"x"), ProtocolVersion.V5)
        await websocket.stream.send_all(frame(packet) + frame(struct.pack(">H", 1000), CLOSE))
        with trio.fail_after(60):
            assert await websocket.receive_some() == b""
        assert websocket.others == [(CLOSE, struct.pack(">H", 1000))]
        await websocket.aclose()
        await gone(broker)
        assert broker.statistics.messages_received == 1


async def test_the_broker_says_goodbye_by_a_closing_handshake() -> None:
    async with trio_mqtt.open_broker(LOCAL) as broker:
        websocket = await dial_websocket(await dial(broker.url))
        client = await greet(websocket)
        await client.send(trio_mqtt.protocol.packets.Disconnect())
        with trio.fail_after(60):
            found = await websocket.next_frame()
            assert found is not None
            assert found == (CLOSE, struct.pack(">H", 1000))
            await websocket.stream.send_all(frame(found[1], CLOSE))
            assert await until_end(websocket.stream) == b""
        await websocket.aclose()


async def test_a_client_that_pings_and_does_not_read_is_not_answered_without_end() -> None:
    async with trio_mqtt.open_broker(LOCAL) as broker:
        websocket = await dial_websocket(await dial(broker.url))
        await greet(websocket)
        (connection,) = links_of(broker)
        with trio.move_on_after(0.5):
            for _ in range(200):
                await websocket.stream.send_all(frame(b"x" * 125, PING) * 500)
        stream = connection.stream
        assert len(stream._unsent) < 1000  # type: ignore[attr-defined]
        other = await greet(await dial_websocket(await dial(broker.url)), "other")
        await other.ping()
        for end in (websocket, other.stream):
            await end.aclose()
