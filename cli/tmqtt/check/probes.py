"""The checks: each connects anew, keeps to topics that nobody else has, and leaves nothing behind.

A broker in use is not harmed: what is tried is small, and one thing at a time.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import trio

import trio_mqtt
from tmqtt.check.findings import ABSENT, LIMITED, OK, WRONG, Finding
from tmqtt.connecting.opening import entered

_PATIENCE = 5.0  # seconds for each check
_SEARCH = 0.8  # of that, until when a bound is looked for more exactly
_ROUND_TRIPS = 20
_VERSIONS = {
    "MQTT 3.1": trio_mqtt.ProtocolVersion.V31,
    "MQTT 3.1.1": trio_mqtt.ProtocolVersion.V311,
    "MQTT 5": trio_mqtt.ProtocolVersion.V5,
}
# What is tried, the largest first, until one goes through.
_PAYLOADS = (1_048_576, 262_144, 65_536, 16_384, 4_096, 1_024)
_TOPICS = (65_535, 32_768, 16_384, 8_192, 4_096, 1_024, 512, 256, 128)
_LEVELS = (1_000, 500, 200, 100, 50, 20, 10)
_IDENTIFIERS = (65_535, 8_192, 1_024, 256, 128, 64, 23)

# What goes wrong before MQTT is spoken: the version is not the reason.
_NO_BROKER = (trio_mqtt.InvalidUrlError, trio_mqtt.ConnectionFailedError)
_TALK = "Protocol"
_LIMITS = "Limits that the broker states"
_TRIED = "Tried"


@dataclass(slots=True)
class Target:
    """The broker that is checked, and what is known of it."""

    broker: str
    arguments: dict[str, Any]
    prefix: str = field(default_factory=lambda: f"tmqtt-check/{secrets.token_hex(8)}")
    best: trio_mqtt.ProtocolVersion | None = None
    url: str = ""
    # Why there is no connection at all.
    failure: trio_mqtt.MqttError | None = None

    @asynccontextmanager
    async def client(self, **changes: Any) -> AsyncIterator[trio_mqtt.Client]:  # as they come
        """A new connection, with other arguments where a check wants them."""
        new: dict[str, Any] = {
            "client_id": f"tmqtt-check-{secrets.token_hex(4)}",
            "protocol_version": self.best,
            "reconnect": False,
        }
        async with AsyncExitStack() as stack:
            opening = trio_mqtt.open_client(self.broker, **{**self.arguments, **new, **changes})
            yield await entered(stack, opening)


@dataclass(frozen=True, slots=True)
class Probe:
    """One check: what a person calls it, and what finds the rows."""

    name: str
    find: Callable[[Target], Awaitable[list[Finding]]]


async def guarded(probe: Probe, target: Target) -> list[Finding]:
    """What the check finds; that it fails or takes too long is a finding, too."""
    try:
        with trio.fail_after(_PATIENCE):
            return await probe.find(target)
    except trio.TooSlowError:
        return [Finding(_TRIED, probe.name, WRONG, f"nothing came within {_PATIENCE:g} s")]
    except trio_mqtt.MqttError as error:
        return [Finding(_TRIED, probe.name, _status(error), _why(error))]


def left_out(probe: Probe, seconds: float) -> Finding:
    """The row of a check that is not done, as those before it took longer than that."""
    return Finding(_TRIED, probe.name, WRONG, f"not tried: the others took {seconds:g} s")


def _status(error: trio_mqtt.MqttError) -> str:
    """Whether an error says that there is no such thing, or that something is wrong."""
    no = (
        trio_mqtt.RequestRefusedError,
        trio_mqtt.LocalProtocolError,
        trio_mqtt.ConnectionLostError,
    )
    return ABSENT if isinstance(error, no) else WRONG


def _why(error: trio_mqtt.MqttError) -> str:
    code = getattr(error, "reason_code", None)
    return f"refused: {code.sentence}" if code is not None else str(error)


async def versions(target: Target) -> list[Finding]:
    """Which versions of the protocol the broker speaks."""
    findings: list[Finding] = []
    for name, version in _VERSIONS.items():
        try:
            took = await _connected_in(target, version)
            if target.best is None:
                # The first connection has also looked up the name and loaded what it needs.
                took = await _connected_in(target, version)
            target.best = version
            findings.append(Finding(_TALK, name, OK, f"connected in {took:.1f} ms"))
        except trio_mqtt.MqttError as error:
            target.failure = error
            finding = Finding(_TALK, name, ABSENT, _why(error))
            told = [found.detail for found in findings if found.status == ABSENT]
            if target.best is None and isinstance(error, _NO_BROKER) and finding.detail in told:
                return []  # the same for all versions: the failure says it
            findings.append(finding)
    if target.best is not None:
        target.failure = None
    return findings


async def _connected_in(target: Target, version: trio_mqtt.ProtocolVersion) -> float:
    """Milliseconds that a connection takes."""
    began = trio.current_time()
    async with target.client(protocol_version=version) as client:
        target.url = client.url
        return (trio.current_time() - began) * 1000


async def round_trip(target: Target) -> list[Finding]:
    """How long a message and its acknowledgement take."""
    times: list[float] = []
    async with target.client() as client:
        for _ in range(_ROUND_TRIPS):
            began = trio.current_time()
            await client.publish(f"{target.prefix}/rtt", b"", qos=1)
            times.append((trio.current_time() - began) * 1000)
    words = f"{median(times):.2f} ms (median), {max(times):.2f} ms at most, QoS 1"
    return [Finding(_TALK, "Round trip", OK, words)]


async def stated(target: Target) -> list[Finding]:
    """The limits that the broker states in CONNACK."""
    if target.best != trio_mqtt.ProtocolVersion.V5:
        return [Finding(_LIMITS, "CONNACK", ABSENT, "only MQTT 5 states limits")]
    session = {"session_expiry_interval": 0xFFFF_FFFF}
    async with target.client(**session) as client:
        said = client.server_properties
        asked = client.client_id
    # The session was only to see what the broker makes of it.
    async with target.client(client_id=asked, clean_start=True):
        pass
    rows = [
        ("Maximum QoS", said.get("maximum_qos", 2), 2, "{}"),
        ("Receive maximum", said.get("receive_maximum", 65_535), 20, "{:,}"),
        ("Maximum packet size", said.get("maximum_packet_size"), 1_048_576, "{:,} bytes"),
        ("Topic aliases", said.get("topic_alias_maximum", 0), 1, "{:,}"),
    ]
    findings: list[Finding] = []
    for name, value, plenty, words in rows:
        if value is None:
            findings.append(Finding(_LIMITS, name, OK, "none"))
        elif value == 0:
            findings.append(Finding(_LIMITS, name, ABSENT if name != "Maximum QoS" else LIMITED))
        else:
            status = OK if value >= plenty else LIMITED
            findings.append(Finding(_LIMITS, name, status, words.format(value)))
    for name, there in (
        ("Retained messages", said.get("retain_available", 1)),
        ("Wildcards", said.get("wildcard_subscription_available", 1)),
        ("Shared subscriptions", said.get("shared_subscription_available", 1)),
        ("Subscription ids", said.get("subscription_identifier_available", 1)),
    ):
        findings.append(Finding(_LIMITS, name, OK if there else ABSENT))
    keep_alive = said.get("server_keep_alive")
    if keep_alive is not None:
        findings.append(Finding(_LIMITS, "Keep alive", LIMITED, f"the broker wants {keep_alive} s"))
    expiry = said.get("session_expiry_interval")
    words = "for ever, if asked" if expiry in (None, 0xFFFF_FFFF) else f"at most {expiry:,} s"
    status = OK if expiry is None or expiry > 0 else ABSENT
    findings.append(Finding(_LIMITS, "Session kept", status, words if status == OK else ""))
    return findings


async def _arrives(
    client: trio_mqtt.Client, topic_filter: str, topic: str, payload: bytes = b"x", qos: int = 1
) -> trio_mqtt.Message:
    """Publish to `topic` and wait for what comes by the filter."""
    async with client.subscribe(topic_filter, qos=2) as messages:
        await client.publish(topic, payload, qos=qos)
        return await anext(messages)


def _qos(qos: int) -> Probe:
    async def find(target: Target) -> list[Finding]:
        topic = f"{target.prefix}/qos{qos}"
        async with target.client() as client:
            message = await _arrives(client, topic, topic, qos=qos)
        if message.qos == qos:
            return [Finding(_TRIED, f"QoS {qos}", OK)]
        return [Finding(_TRIED, f"QoS {qos}", LIMITED, f"arrives at QoS {message.qos}")]

    return Probe(f"QoS {qos}", find)


async def retained(target: Target) -> list[Finding]:
    """Whether a retained message is kept for who subscribes later."""
    topic = f"{target.prefix}/retained"
    async with target.client() as client:
        try:
            await client.publish(topic, b"kept", qos=1, retain=True)
            async with client.subscribe(topic) as messages:
                with trio.move_on_after(_PATIENCE / 2):
                    # One that acknowledges before it delivers may send what is new first.
                    async for message in messages:
                        if message.retain and message.payload == b"kept":
                            return [Finding(_TRIED, "Retained messages", OK)]
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 1.0):
                await client.publish(topic, b"", qos=1, retain=True)
    return [Finding(_TRIED, "Retained messages", WRONG, "taken, but not kept")]


async def wildcards(target: Target) -> list[Finding]:
    """Whether filters with wildcards match."""
    async with target.client() as client:
        for topic_filter in (f"{target.prefix}/+/leaf", f"{target.prefix}/wild/#"):
            await _arrives(client, topic_filter, f"{target.prefix}/wild/leaf")
    return [Finding(_TRIED, "Wildcards + and #", OK)]


async def shared(target: Target) -> list[Finding]:
    """Whether subscriptions are shared."""
    topic = f"{target.prefix}/shared"
    async with target.client() as client:
        with trio.move_on_after(_PATIENCE / 2):
            await _arrives(client, f"$share/check/{topic}", topic)
            return [Finding(_TRIED, "Shared subscriptions", OK)]
    return [Finding(_TRIED, "Shared subscriptions", ABSENT, "granted, but nothing arrives")]


def _largest(
    name: str,
    sizes: tuple[int, ...],
    unit: str,
    tries: Callable[[Target, int], Awaitable[None]],
    *,
    exactly: bool = False,
) -> Probe:
    """Tries sizes from the largest down, each on a connection of its own.

    `exactly` looks for the bound between the first that goes through and the one before it.
    """

    async def problem(target: Target, size: int) -> tuple[str, str] | None:
        """What goes wrong with a size, and what that means; None where nothing does."""
        try:
            with trio.fail_after(_PATIENCE / len(sizes)):
                await tries(target, size)
        except trio_mqtt.MqttError as error:
            return _why(error), _status(error)
        except trio.TooSlowError:
            return "nothing comes", WRONG
        return None

    async def find(target: Target) -> list[Finding]:
        began = trio.current_time()
        found: tuple[str, str] | None = None
        too_much = 0
        for size in sizes:
            wrong = await problem(target, size)
            if wrong is not None:
                found, too_much = wrong, size
                continue
            if found is None:
                return [Finding(_TRIED, name, OK, f"{size:,} {unit}")]
            most = size
            with trio.move_on_at(began + _PATIENCE * _SEARCH):
                while exactly and too_much - most > 1:
                    middle = (most + too_much) // 2
                    wrong = await problem(target, middle)
                    if wrong is None:
                        most = middle
                    else:
                        found, too_much = wrong, middle
            at_least = "at least " if exactly and too_much - most > 1 else ""
            words = f"{at_least}{most:,} {unit}; more: {found[0]}"
            return [Finding(_TRIED, name, LIMITED, words)]
        why, failed = found or ("", WRONG)
        return [Finding(_TRIED, name, failed, why)]

    return Probe(name, find)


async def _payload(target: Target, size: int) -> None:
    topic = f"{target.prefix}/size"
    async with target.client() as client:
        await _arrives(client, topic, topic, bytes(size))


async def _topic_length(target: Target, size: int) -> None:
    topic = f"{target.prefix}/".ljust(size, "x")
    async with target.client() as client:
        await _arrives(client, topic, topic)


async def _topic_levels(target: Target, levels: int) -> None:
    topic = f"{target.prefix}/" + "/".join("x" * (levels - 2))
    async with target.client() as client:
        await _arrives(client, topic, topic)


async def _identifier(target: Target, size: int) -> None:
    client_id = f"tmqtt-check-{secrets.token_hex(4)}".ljust(size, "x")
    async with target.client(client_id=client_id) as client:
        await client.publish(f"{target.prefix}/id", b"", qos=1)


async def empty_identifier(target: Target) -> list[Finding]:
    """Whether a client may leave its identifier to the broker."""
    async with target.client(client_id="") as client:
        words = "the broker chooses one" if client.client_id else ""
    return [Finding(_TRIED, "Empty client id", OK, words)]


async def unicode_identifier(target: Target) -> list[Finding]:
    """Whether an identifier may have letters of all kinds."""
    async with target.client(client_id=f"tmqtt-check-ä☀😀-{secrets.token_hex(4)}") as client:
        await client.publish(f"{target.prefix}/id", b"", qos=1)
    return [Finding(_TRIED, "Client id in Unicode", OK)]


ALL: tuple[Probe, ...] = (
    Probe("Round trip", round_trip),
    Probe("Limits in CONNACK", stated),
    _qos(0),
    _qos(1),
    _qos(2),
    Probe("Retained messages", retained),
    Probe("Wildcards", wildcards),
    Probe("Shared subscriptions", shared),
    _largest("Payload", _PAYLOADS, "bytes", _payload),
    _largest("Topic length", _TOPICS, "bytes", _topic_length),
    _largest("Topic levels", _LEVELS, "levels", _topic_levels, exactly=True),
    _largest("Client id length", _IDENTIFIERS, "bytes", _identifier),
    Probe("Empty client id", empty_identifier),
    Probe("Client id in Unicode", unicode_identifier),
)
