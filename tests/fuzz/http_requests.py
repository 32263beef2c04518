"""What HTTP clients of the metrics may send, and what none should."""

from __future__ import annotations

import random

from tests.fuzz.mutations import harm_bytes

_METHODS = (b"GET", b"GET", b"GET", b"HEAD", b"POST", b"CONNECT", b"get", b"\x00", b"PRI")
_TARGETS = (
    b"/metrics", b"/metrics", b"/healthz", b"/readyz", b"/", b"*", b"/metrics?x=" + b"y" * 9_000,
    b"http://x/metrics", b"/\xff", b"/%00", b"//", b"",
)  # fmt: skip
_VERSIONS = (b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/9", b"")
_ACCEPT_WORDS = (
    b"application/openmetrics-text", b"text/plain", b"version=", b"1.0.0", b"0.0.4", b"a.b",
    b"\xe9", b";", b",", b"=", b"escaping=", b"allow-utf-8", b"dots", b"q=", b"0.5", b" ", b"*/*",
)  # fmt: skip
_HEADERS = (
    b"Content-Length: 5", b"Content-Length: -1", b"Content-Length: 99999999999",
    b"Transfer-Encoding: chunked", b"Transfer-Encoding: x", b"Connection: close",
    b"Connection: Upgrade\r\nUpgrade: websocket", b"Expect: 100-continue", b"Host: y", b": z",
    b"X: \x00", b"X" * 9_000 + b": y", b" folded", b"Accept-Encoding: gzip",
)  # fmt: skip


def request(chance: random.Random) -> bytes:
    """One request, right or wrong."""
    start = b" ".join(chance.choice(some) for some in (_METHODS, _TARGETS, _VERSIONS))
    accept = b"".join(chance.choices(_ACCEPT_WORDS, k=chance.randrange(9)))
    headers = [b"Host: x", b"Accept: " + accept, *chance.choices(_HEADERS, k=chance.randrange(3))]
    body = chance.choice((b"", b"", b"hello", b"5\r\nhello\r\n0\r\n\r\n"))
    data = b"\r\n".join((start, *headers, b"", body))
    for _ in range(chance.choice((0, 0, 1, 3))):
        data = harm_bytes(data, chance)
    return data
