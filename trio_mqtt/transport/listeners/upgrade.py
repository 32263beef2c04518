"""The HTTP request by which a client's WebSocket began, for who decides about the client."""

from __future__ import annotations

import re

_LINE_END = re.compile(r"\r?\n(?![ \t])")  # a line that begins with a space goes on with the last
_FOLD = re.compile(r"\r?\n[ \t]+")


class Upgrade:
    """The request that asked for a WebSocket (RFC 6455 §4.1), as the client sent it.

    Kept as the bytes that came and taken apart by whoever looks: a browser's cookies can be long,
    and there is one of these for each connection. A page can set neither headers nor the origin:
    path, query and cookies are what it has to say something by.

        async def authenticate(self, client, password):
            session = client.upgrade.cookies.get("session") if client.upgrade else None
    """

    __slots__ = ("_head",)

    def __init__(self, head: bytes) -> None:
        """`head` are the request line and the headers."""
        self._head = head

    def __repr__(self) -> str:
        # What authorizes the client is among the rest: it is not for logs.
        return f"<Upgrade at {self.path!r}>"

    @property
    def path(self) -> str:
        """The path that was asked for, without a query and with its %XX as they came."""
        return self._target.partition("?")[0]

    @property
    def query(self) -> str:
        """What stands behind the question mark; empty if there is none."""
        return self._target.partition("?")[2]

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """All headers in their order, by name in lower case. Bytes are characters (ISO 8859-1)."""
        found = []
        for line in _LINE_END.split(self._head.decode("latin-1"))[1:]:
            name, _, value = line.partition(":")
            if name:
                found.append((name.lower(), _FOLD.sub(" ", value).strip(" \t")))
        return tuple(found)

    def header(self, name: str) -> str | None:
        """The value of a header; those of several are joined by commas (RFC 9110 §5.2).

        None where there is none.
        """
        name = name.lower()
        values = [value for each, value in self.headers if each == name]
        return ", ".join(values) if values else None

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies by their names (RFC 6265 §5.4); of one that came twice, the first."""
        found: dict[str, str] = {}
        for name, value in self.headers:
            if name != "cookie":
                continue
            for pair in value.split(";"):
                key, equals, text = pair.strip(" \t").partition("=")
                if equals and len(text) > 1 and text[0] == text[-1] == '"':
                    text = text[1:-1]
                if equals:
                    found.setdefault(key, text)
        return found

    @property
    def _target(self) -> str:
        return self._head.partition(b" ")[2].partition(b" ")[0].decode("latin-1")
