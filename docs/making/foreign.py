"""Whether a built site would have browsers contact anybody but its own host.

    python docs/making/foreign.py FOLDER

Links that a reader may follow are not meant: only what a browser loads by itself.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

# What is loaded as soon as it is seen, by element; all other elements have no such attribute.
_LOADED = {
    "audio": ("src",), "embed": ("src",), "form": ("action",), "iframe": ("src", "srcdoc"),
    "image": ("href", "xlink:href"), "img": ("src", "srcset"), "input": ("src",),
    "link": ("href",), "object": ("data",), "script": ("src",), "source": ("src", "srcset"),
    "track": ("src",), "use": ("href", "xlink:href"), "video": ("src", "poster"),
}  # fmt: skip
# A `link` to these is for readers and machines that ask, and nothing that a browser loads.
_FOLLOWED = {
    "canonical",
    "alternate",
    "license",
    "author",
    "help",
    "search",
    "next",
    "prev",
    "index",
}
_FOREIGN = re.compile(r"^\s*(?:[a-z][a-z+.-]*:)?//", re.IGNORECASE)
_STYLE = re.compile(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)")
# How a script asks for something; what it only names, such as a namespace, it does not load.
_ASKED = re.compile(
    r"(?:fetch|import|importScripts|Worker|WebSocket|EventSource|\.open|\.src\s*=|\.href\s*=)"
    r"\s*\(?\s*(?:['\"](?:GET|POST)['\"]\s*,\s*)?['\"`]((?:[a-z]+:)?//[^'\"`]+)"
)
_SENT = re.compile(r"sendBeacon\(\s*['\"`]([^'\"`]+)")


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._within = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self._within = tag
        self.found += in_style(given.get("style", ""))
        if tag == "link" and _FOLLOWED & {*given.get("rel", "").split()}:
            return
        if tag == "meta" and given.get("http-equiv", "").lower() == "refresh":
            self.found += [
                one for one in given.get("content", "").split("=") if _FOREIGN.match(one)
            ]
        for name in _LOADED.get(tag, ()):
            for one in given.get(name, "").split(","):
                if _FOREIGN.match(one):
                    self.found.append(one.strip())

    def handle_endtag(self, tag: str) -> None:
        self._within = ""

    def handle_data(self, data: str) -> None:
        if self._within == "style":
            self.found += in_style(data)
        elif self._within == "script":
            self.found += in_script(data)


def in_page(text: str) -> list[str]:
    """What an HTML or SVG file has a browser load from elsewhere."""
    page = _Page()
    page.feed(text)
    page.close()
    return page.found


def in_style(text: str) -> list[str]:
    """What a style sheet has a browser load from elsewhere."""
    return [one for pair in _STYLE.findall(text) for one in pair if _FOREIGN.match(one)]


def in_script(text: str) -> list[str]:
    """What a script asks others for, as far as it says so in one piece."""
    return _ASKED.findall(text) + [one for one in _SENT.findall(text) if _FOREIGN.match(one)]


_READERS = {".html": in_page, ".svg": in_page, ".css": in_style, ".js": in_script}


def foreign(folder: Path) -> Iterator[str]:
    """Each file with what it would load from another host."""
    for path in sorted(folder.rglob("*")):
        read = _READERS.get(path.suffix)
        if read is None:
            continue
        for one in read(path.read_text(encoding="utf-8")):
            yield f"{path.relative_to(folder)}: {one}"


def main() -> None:
    folder = Path(sys.argv[1])
    if not (folder / "index.html").exists():
        raise SystemExit(f"There is no site in {folder}.")
    found = list(foreign(folder))
    if found:
        raise SystemExit("\n".join(["Browsers would ask others:", *found]))


if __name__ == "__main__":
    main()
