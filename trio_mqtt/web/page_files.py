"""The files of the page, as they are: small, read once, and known by their content."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

from starlette.responses import Response

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from starlette.requests import Request

_KINDS = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_SAFE = {
    # Nothing from elsewhere, nothing written into the page, and in no other page.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",  # asked for each time, and mostly still the same
}


@dataclass(frozen=True, slots=True)
class PageFile:
    """A file of the page."""

    content: bytes
    kind: str
    tag: str

    async def answer(self, request: Request) -> Response:
        """The file, or that it is the one which is known already."""
        headers = {**_SAFE, "ETag": self.tag}
        if request.headers.get("if-none-match") == self.tag:
            return Response(status_code=304, headers=headers)
        return Response(self.content, headers=headers, media_type=self.kind)


def page_files() -> dict[str, PageFile]:
    """By their paths: `/` and `/page/NAME`."""
    folder = files("trio_mqtt.web").joinpath("page")
    if not folder.is_dir():
        return {}
    return dict(_found(folder, "/page/"))


def _found(folder: Traversable, path: str) -> list[tuple[str, PageFile]]:
    found: list[tuple[str, PageFile]] = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _found(entry, f"{path}{entry.name}/")
            continue
        kind = _KINDS.get(entry.name[entry.name.rfind(".") :])
        if kind is not None:
            content = entry.read_bytes()
            tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
            where = "/" if path + entry.name == "/page/index.html" else path + entry.name
            found.append((where, PageFile(content, kind, tag)))
    return found
