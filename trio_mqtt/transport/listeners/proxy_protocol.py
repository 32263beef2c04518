"""The PROXY protocol, versions 1 and 2: what a proxy says of the client it connects. No I/O here.

As HAProxy's specification has it, section 2. The reader says how many bytes it needs at least, so
that whoever feeds it takes nothing from the socket that comes behind the header.
"""

from __future__ import annotations

import ipaddress
import struct

from trio_mqtt.records import record

_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_V1_START = b"PROXY"
_V1_LIMIT = 107  # bytes of the longest line, its end included
_V2_FIXED = 16
_V2_LIMIT = 4_096  # bytes of addresses and TLVs: more than any proxy has to say
_LOCAL, _PROXY = 0x20, 0x21
_PORTS = 65_535
# By address family and transport: the bytes of the addresses and ports.
_TCP4, _UDP4, _TCP6, _UDP6, _UNIX, _UNIX_DATAGRAM = 0x11, 0x12, 0x21, 0x22, 0x31, 0x32
_LENGTHS = {_TCP4: 12, _UDP4: 12, _TCP6: 36, _UDP6: 36, _UNIX: 216, _UNIX_DATAGRAM: 216}


class BadProxyHeaderError(Exception):
    """What comes first is no header of the PROXY protocol; the text says why."""


@record
class ProxyHeader:
    """Who is behind the proxy, HOST:PORT; None where it speaks for itself or does not know."""

    client: str | None


class ProxyHeaderReader:
    """Reads one header, fed in pieces that end no later than the header does."""

    def __init__(self) -> None:
        self._data = b""

    def wanted(self, seen: bytes) -> int:
        """How many of the bytes `seen` behind those that were fed belong to the header."""
        data = self._data + seen
        self._check_start(data)
        if data[:1] == b"P":
            end = data.find(b"\n")
            whole = len(data) if end < 0 else end + 1
            if whole > _V1_LIMIT or (end < 0 and whole == _V1_LIMIT):
                raise BadProxyHeaderError("its line does not end")
        elif len(data) < _V2_FIXED:
            whole = len(data)
        else:
            whole = min(_V2_FIXED + self._v2_length(data), len(data))
        return whole - len(self._data)

    def feed(self, data: bytes) -> ProxyHeader | None:
        """The header, when it is complete. Raises BadProxyHeaderError."""
        self._data += data
        self._check_start(self._data)
        if self._data[:1] == b"P":
            return self._version_1() if self._data.endswith(b"\n") else None
        if len(self._data) < _V2_FIXED:
            return None
        length = self._v2_length(self._data)
        if len(self._data) < _V2_FIXED + length:
            return None
        return self._version_2(self._data[_V2_FIXED:])

    @staticmethod
    def _check_start(data: bytes) -> None:
        if not (data.startswith((_V1_START, _SIGNATURE)) or _V1_START.startswith(data)
                or _SIGNATURE.startswith(data)):  # fmt: skip
            raise BadProxyHeaderError("it does not begin as one")

    def _version_1(self) -> ProxyHeader:
        line = self._data
        if not line.endswith(b"\r\n"):
            raise BadProxyHeaderError("its line does not end in CR LF")
        try:
            words = line[:-2].decode("ascii").split(" ")
        except UnicodeDecodeError:
            raise BadProxyHeaderError("its line is not text") from None
        if words[:2] == ["PROXY", "UNKNOWN"]:
            return ProxyHeader(None)
        if len(words) != 6 or words[0] != "PROXY" or words[1] not in ("TCP4", "TCP6"):
            raise BadProxyHeaderError("its line does not say PROXY TCP4 or TCP6 and four values")
        version = 4 if words[1] == "TCP4" else 6
        client = _address(words[2], version)
        _address(words[3], version)
        port = _port(words[4])
        _port(words[5])
        return ProxyHeader(_joined(client, port))

    @staticmethod
    def _v2_length(data: bytes) -> int:
        command = data[12]
        family = data[13]
        (length,) = struct.unpack_from(">H", data, 14)
        if command not in (_LOCAL, _PROXY):
            raise BadProxyHeaderError(f"its version and command, {command:#04x}, are unknown")
        if length > _V2_LIMIT:
            raise BadProxyHeaderError(f"it claims {length} bytes")
        if command == _PROXY and length < _LENGTHS.get(family, 0):
            raise BadProxyHeaderError("its length leaves no room for its addresses")
        return int(length)

    def _version_2(self, body: bytes) -> ProxyHeader:
        if self._data[12] == _LOCAL:
            return ProxyHeader(None)  # the proxy itself, to see whether somebody is there
        family = self._data[13]
        length = _LENGTHS.get(family, 0)
        _check_tlvs(body[length:] if length else b"")
        if family == _TCP4:
            client = ipaddress.ip_address(body[:4])
            (port,) = struct.unpack_from(">H", body, 8)
            return ProxyHeader(_joined(str(client), port))
        if family == _TCP6:
            client = ipaddress.ip_address(body[:16])
            (port,) = struct.unpack_from(">H", body, 32)
            return ProxyHeader(_joined(str(client), port))
        return ProxyHeader(None)


def _check_tlvs(data: bytes) -> None:
    """What else the proxy says is not used, but its lengths have to be true."""
    position = 0
    while position < len(data):
        if len(data) - position < 3:
            raise BadProxyHeaderError("its last value is cut off")
        (length,) = struct.unpack_from(">H", data, position + 1)
        position += 3 + length
    if position != len(data):
        raise BadProxyHeaderError("a value in it is longer than the header")


def _address(text: str, version: int) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise BadProxyHeaderError("it has something that is no address") from None
    if address.version != version:
        raise BadProxyHeaderError("its addresses are not of the kind that it says")
    return str(address)


def _port(text: str) -> int:
    if not (text.isdecimal() and len(text) <= 5 and int(text) <= _PORTS):
        raise BadProxyHeaderError("it has something that is no port")
    return int(text)


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
