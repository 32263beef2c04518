"""What a broker may answer: judged by what a client sent and what came back.

Packets are cut by hand (`answers.frames`) and counted; what they hold is left to the library's
strict decoder at a client's end, which the broker's encoder has to please.
"""

from __future__ import annotations

from collections import Counter

from tests.beside.answers import frames
from tests.beside.pair import SECRET, TOPIC
from tests.fuzz.cases import Script
from tests.fuzz.executor import CLOSE_SECONDS, Played
from tests.fuzz.expectations import MOUNT_POINT, MOUNTED, connect_of, violation_of
from trio_mqtt.errors import LocalProtocolError, RemoteProtocolError
from trio_mqtt.protocol.client_connection import ClientConnection
from trio_mqtt.protocol.decoding import PacketDecoder
from trio_mqtt.protocol.packet_types import PacketType, ProtocolVersion
from trio_mqtt.protocol.packets import ConnAck, Connect, Disconnect, Packet, Publish

# Bytes that the socket of a client takes, however slow that is: beyond them the broker may have to
# give up in the middle of a packet, when its time for a goodbye is over.
ALWAYS_TAKEN = 64 * 1024
VERSIONS = (ProtocolVersion.V5, ProtocolVersion.V311, ProtocolVersion.V31)
# What answers what, by packet types; the same packet identifier stands in both.
_ANSWERS = {
    PacketType.SUBACK: PacketType.SUBSCRIBE,
    PacketType.UNSUBACK: PacketType.UNSUBSCRIBE,
    PacketType.PUBCOMP: PacketType.PUBREL,
}


def is_accepted(played: Played) -> bool:
    """Whether the broker has let the client in."""
    for first, body, _ in frames(played.received):
        return first == 0x20 and body[1:2] == b"\0"
    return False


def judge(played: Played) -> list[str]:
    """What was wrong with the broker's answers to one client."""
    found = list(played.problems)
    script, sent, data = played.script, played.written, played.received
    if played.stays:
        found.append(
            f"the broker has not closed {CLOSE_SECONDS:g} s after"
            f" {violation_of(sent) or script.end}"
        )
    if any(step[0] == "raw" for step in script.steps):
        return found + _secrets(data)  # who knows what was said there
    if script.speaks == "tcp" and script.port not in ("mqtt", "any", MOUNTED):
        return found  # an alert of TLS, an error of HTTP
    if data.startswith((b"HTTP/", b"\x15\x03")):
        return found  # of the port for anything, to what is no MQTT
    connect = connect_of(sent)
    packets, problem = _decoded(data, connect, sent)
    if problem:
        return [*found, problem]
    ends = [end for _, _, end in frames(data)]
    was_fast = len(data) < ALWAYS_TAKEN
    if played.orderly and was_fast and (ends[-1] if ends else 0) != len(data):
        found.append("the broker has closed in the middle of a packet")
    found += _beginning_and_end(script, packets, connect)
    found += _answers(sent, data, connect)
    return found + _secrets(data) + _topics(packets, script)


def _decoded(data: bytes, connect: Connect | None, sent: bytes) -> tuple[list[Packet], str]:
    """The packets, or why they are none."""
    problem = ""
    versions = VERSIONS if connect is None else (connect.protocol_version,)
    for version in versions:
        packets, violation = _decoded_as(version, data, connect, sent)
        if violation is None:
            return packets, ""
        problem = problem or f"the broker's answer is not MQTT {version.text}: {violation}"
    return [], problem


def _decoded_as(
    version: ProtocolVersion, data: bytes, connect: Connect | None, sent: bytes
) -> tuple[list[Packet], RemoteProtocolError | None]:
    if connect is not None and "authentication_method" not in connect.properties:
        client = ClientConnection(version)
        try:
            client.send(connect)
        except LocalProtocolError:
            pass  # such as a session without a name, which MQTT 3 leaves to the broker to refuse
        else:
            if any(first >> 4 in (4, 5, 7) for first, _, _ in frames(sent)):
                client.receive_maximum = 1 << 30  # it has answered, and what is open nobody counts
            return client.receive(data), client.violation
    decoder = PacketDecoder(PacketType.CONNACK, version)
    if connect is not None:
        decoder.first = None  # AUTH may come before CONNACK
    return decoder.feed(data), decoder.violation


def _beginning_and_end(script: Script, packets: list[Packet], connect: Connect | None) -> list[str]:
    found = []
    answers = [packet for packet in packets if isinstance(packet, ConnAck)]
    if len(answers) > 1:
        found.append("CONNACK comes twice")
    if answers and not answers[0].reason_code.is_failure:
        if script.must_be_refused:
            found.append("a CONNECT is accepted that no broker may accept")
        elif connect is None:
            found.append("something is accepted that is no valid CONNECT")
    for packet in packets[:-1]:
        is_refusal = isinstance(packet, ConnAck) and packet.reason_code.is_failure
        if is_refusal or isinstance(packet, Disconnect):
            found.append(f"the broker goes on after {packet}")
    return found


def _answers(sent: bytes, received: bytes, connect: Connect | None) -> list[str]:
    """No answer without what it answers."""
    asked: Counter[tuple[int, bytes]] = Counter()
    published: tuple[Counter[bytes], ...] = (Counter(), Counter(), Counter(), Counter())
    pings = 0
    for first, body, _ in frames(sent):
        kind, qos = first >> 4, first >> 1 & 3
        if kind == PacketType.PUBLISH and qos:
            at = 2 + int.from_bytes(body[:2], "big")
            published[qos][body[at : at + 2]] += 1
        pings += kind == PacketType.PINGREQ
        asked[kind, body[:2]] += 1
    found = []
    largest = 1 << 30
    if connect is not None and connect.protocol_version == 5:
        largest = connect.properties.get("maximum_packet_size", largest)
    start = 0
    for first, body, end in frames(received):
        kind = first >> 4
        if end - start > largest:
            found.append(f"a packet of {end - start} bytes comes where {largest} are allowed")
        start = end
        identifier = body[:2]
        if kind == PacketType.PINGRESP:
            pings -= 1
            if pings < 0:
                found.append("PINGRESP comes unasked")
        elif kind in (PacketType.PUBACK, PacketType.PUBREC):
            messages = published[1 if kind == PacketType.PUBACK else 2]
            messages[identifier] -= 1
            if messages[identifier] < 0:
                found.append(f"{PacketType(kind).name} {identifier.hex()} comes unasked")
        elif kind in _ANSWERS:
            question = (_ANSWERS[PacketType(kind)], identifier)
            asked[question] -= 1
            if asked[question] < 0:
                found.append(f"{PacketType(kind).name} {identifier.hex()} comes unasked")
    return found[:5]


def _secrets(data: bytes) -> list[str]:
    return ["what nobody may read was read"] if SECRET in data else []


def _topics(packets: list[Packet], script: Script) -> list[str]:
    """Access rules keep the pair's topics for the pair, and nobody writes `$SYS`.

    Below the mount point there are others of these names, and it is never seen.
    """
    forbidden = (MOUNT_POINT,) if script.port == MOUNTED else (f"{TOPIC}/", "secret/", MOUNT_POINT)
    return [
        f"a message comes that nobody may have: {packet}"[:300]
        for packet in packets
        if isinstance(packet, Publish)
        and (
            packet.topic.startswith(forbidden)
            or (packet.topic.startswith("$SYS/") and packet.payload == b"x")
        )
    ][:3]
