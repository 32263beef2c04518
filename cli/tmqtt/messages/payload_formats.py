"""What payloads may be besides bytes: CBOR and others, shown and written as JSON. Sans-IO."""

from __future__ import annotations

import base64
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Protocol, cast

from tmqtt.messages.message import ShownMessage
from trio_mqtt import Properties

LONGEST = 256 * 1024  # bytes of a payload that are decoded
LONGEST_REASON = 300  # characters of why one cannot be
# Each by its name: the module that knows it, what people call it, and its package.
_BY_PACKAGE = {
    "cbor": ("tmqtt.messages.cbor", "CBOR", "cbor2"),
    "msgpack": ("tmqtt.messages.message_pack", "MessagePack", "msgpack"),
    "protobuf": ("tmqtt.messages.protobuf", "Protocol Buffers", "protobuf"),
}
NAMES = (*_BY_PACKAGE, "base64", "hex")


class Codec(Protocol):
    """Turns payloads into text, and text into payloads.

    Both raise ValueError, whose text is the end of a sentence.
    """

    def decode(self, payload: bytes, /) -> bytes: ...
    def encode(self, text: bytes, /) -> bytes: ...


class PayloadFormat:
    """A format of payloads. Raises ValueError, whose text is a sentence."""

    def __init__(
        self, name: str, descriptors: str | None = None, message_type: str | None = None
    ) -> None:
        if name not in NAMES:
            raise ValueError(f"there is no format {name!r}: write {', '.join(NAMES)}.")
        self.title = _BY_PACKAGE[name][1] if name in _BY_PACKAGE else name.capitalize()
        self._codec = _codec(name, descriptors, message_type)

    def decode(self, payload: bytes) -> bytes:
        """The payload as text. Raises ValueError, whose text is the end of a sentence."""
        if len(payload) > LONGEST:
            raise ValueError(f"it is longer than {LONGEST // 1024} KiB")
        return self._codec.decode(payload)

    def encode(self, text: bytes) -> bytes:
        """The payload that a text stands for. Raises ValueError, whose text is a sentence."""
        try:
            return self._codec.encode(text)
        except ValueError as error:
            raise ValueError(
                f"{self.title} cannot be made of the message: {_end(error)}."
            ) from None


def _end(error: ValueError) -> str:
    """The end of a sentence, also where a package has made it a whole one, of some lines.

    It may repeat what stands in the payload.
    """
    return textwrap.shorten(str(error).rstrip("."), LONGEST_REASON, placeholder=" …")


class DecodedMessage:
    """A message whose payload is shown in a format; where that cannot be, as it came.

    It is decoded when somebody looks at it, as of a flood few are shown.
    """

    __slots__ = ("_format", "_message", "_payload", "_wrong")

    def __init__(self, message: ShownMessage, payload_format: PayloadFormat) -> None:
        self._message = message
        self._format = payload_format
        self._payload: bytes | None = None
        self._wrong = ""

    @property
    def payload(self) -> bytes:
        if self._payload is None:
            self._payload = payload = self._message.payload
            if payload:
                try:
                    self._payload = self._format.decode(payload)
                except ValueError as error:
                    self._wrong = f"not {self._format.title}: {_end(error)}"
        return self._payload

    @property
    def wrong(self) -> str:
        """Why the payload is shown as it came, or nothing."""
        _ = self.payload
        return self._wrong

    @property
    def topic(self) -> str:
        return self._message.topic

    @property
    def qos(self) -> int:
        return self._message.qos

    @property
    def retain(self) -> bool:
        return self._message.retain

    @property
    def packet_id(self) -> int:
        return self._message.packet_id

    @property
    def properties(self) -> Properties:
        return self._message.properties


@dataclass(frozen=True, slots=True)
class _Notation:
    """Bytes written out."""

    decode: Callable[[bytes], bytes]
    encode: Callable[[bytes], bytes]


def _codec(name: str, descriptors: str | None, message_type: str | None) -> Codec:
    if name == "base64":
        return _Notation(base64.b64encode, _from_base64)
    if name == "hex":
        return _Notation(lambda payload: payload.hex().encode(), _from_hex)
    if name == "protobuf":
        return _protobuf(descriptors, message_type)
    return cast(Codec, _module(name))


def _protobuf(descriptors: str | None, message_type: str | None) -> Codec:
    if descriptors is None:
        raise ValueError(
            "Protocol Buffers need --descriptors FILE, which protoc --include_imports -o FILE"
            " makes."
        )
    module = _module("protobuf")
    try:
        with open(descriptors, "rb") as file:
            described = file.read()
    except OSError as error:
        raise ValueError(f"{descriptors} cannot be read: {error.strerror}.") from None
    try:
        return cast(Codec, module.Protobuf(described, message_type))
    except ValueError as error:
        raise ValueError(f"{descriptors} {error}") from None


def _module(name: str) -> ModuleType:
    """The module that knows a format. Raises ValueError where its package is missing."""
    module, title, package = _BY_PACKAGE[name]
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("tmqtt"):
            raise
        from trio_mqtt.optional import payloads_are_missing

        raise ValueError(payloads_are_missing(title, package)) from None


def _from_base64(text: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(text.split()), validate=True)
    except ValueError:
        raise ValueError("it is not Base64") from None


def _from_hex(text: bytes) -> bytes:
    try:
        return bytes.fromhex(text.decode("ascii"))
    except ValueError:
        raise ValueError("it is not pairs of hexadecimal digits") from None
