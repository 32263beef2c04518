"""The options of `open_client`: those of the wrong kind are refused before anything else."""

from __future__ import annotations

from dataclasses import replace

from trio_mqtt.client.arguments import (
    check_property_kinds,
    check_qos,
    kind_of,
    payload_bytes,
)
from trio_mqtt.client.connection.backoff import Backoff
from trio_mqtt.errors import InvalidUrlError, LocalProtocolError
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import Will
from trio_mqtt.protocol.topics import topic_name_problem
from trio_mqtt.transport.connectors.srv_records import check_records_can_be_asked
from trio_mqtt.transport.urls import Address, parse_url


def check_options(**options: object) -> None:
    """Raise TypeError or LocalProtocolError, a ValueError, for what no connection can have."""
    _check("client_id", options["client_id"], str)
    _check("username", options["username"], str, None)
    _check("password", options["password"], str, bytes, None)
    _check("keep_alive", options["keep_alive"], int)
    _check("session_expiry_interval", options["session_expiry_interval"], int, None)
    _check("reconnect", options["reconnect"], bool, Backoff)
    timeout = options["connect_timeout"]
    _check("connect_timeout", timeout, int, float)
    if isinstance(timeout, int | float) and not timeout > 0:
        raise LocalProtocolError(f"A connect_timeout of {timeout} s leaves no time to connect.")
    if options["on_connect"] is not None and not callable(options["on_connect"]):
        raise TypeError(f"on_connect is a function, not {kind_of(options['on_connect'])}.")
    on_packet = options.get("on_packet")
    if on_packet is not None and not callable(on_packet):
        raise TypeError(f"on_packet is a function, not {kind_of(on_packet)}.")
    _check("bind_address", options.get("bind_address"), str, None)
    transform = options.get("transform")
    if transform is not None and not callable(transform):
        raise TypeError(f"transform is a function, not {kind_of(transform)}.")
    if options["properties"] is not None:
        check_property_kinds(options["properties"])


def checked_addresses(url: object) -> list[Address]:
    """The addresses of one URL or of several, which name no two clients.

    Raises TypeError or InvalidUrlError, a ValueError.
    """
    urls = [url] if isinstance(url, str) else url
    if not isinstance(urls, list | tuple):
        raise TypeError(f"url is a str, or a list of such, not {kind_of(url)}.")
    if not urls:
        raise InvalidUrlError(
            "The list of servers is empty: it takes at least one URL, such as mqtt://localhost:1883."
        )
    for one in urls:
        if not isinstance(one, str):
            raise TypeError(f"Each url is a str, not {kind_of(one)}.")
    addresses = [parse_url(one) for one in urls]
    names = sorted({one.client_id for one in addresses if one.client_id})
    if len(names) > 1:
        raise InvalidUrlError(
            f"The URLs name several clients, {names[0]!r} and {names[1]!r}: a client is one."
        )
    if any(one.is_by_records for one in addresses):
        check_records_can_be_asked()
    return addresses


def checked_version(version: int | None) -> ProtocolVersion | None:
    """The protocol version; None is for the broker to say. Raises LocalProtocolError."""
    if version is None:
        return None
    try:
        return ProtocolVersion(version)
    except ValueError:
        raise LocalProtocolError(
            f"There is no protocol version {version}: it is 3 (MQTT 3.1), 4 (3.1.1) or 5."
        ) from None


def checked_will(will: object) -> Will | None:
    """The will with its payload as bytes. Raises TypeError or LocalProtocolError."""
    if will is None:
        return None
    if not isinstance(will, Will):
        raise TypeError(f"A will is a trio_mqtt.Will, not {kind_of(will)}.")
    _check_will_topic(will.topic)
    check_qos(will.qos)
    check_property_kinds(will.properties)
    payload = payload_bytes(will.payload)
    return will if payload is will.payload else replace(will, payload=payload)


def _check_will_topic(topic: object) -> None:
    """Refuse what a broker would drop: nobody is there to be told any more, then."""
    if not isinstance(topic, str):
        raise TypeError(f"The topic of a will is a str, not {kind_of(topic)}.")
    problem = topic_name_problem(topic)
    if problem is None and topic.startswith("$"):
        problem = "begins with $: such topics are the broker's own (§4.7.2), which drops the will"
    if problem is not None:
        raise LocalProtocolError(f"The topic {topic!r} of the will {problem}.")


def _check(name: str, value: object, *kinds: type | None) -> None:
    if not any(value is None if kind is None else isinstance(value, kind) for kind in kinds):
        wanted = " or ".join("None" if kind is None else kind.__name__ for kind in kinds)
        raise TypeError(f"{name} is {wanted}, not {kind_of(value)}.")
