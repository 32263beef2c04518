"""The explorer: a tree of topics, the chosen one beside it, and what keys do. Sans-IO."""

from __future__ import annotations

from collections.abc import Sequence

from tmqtt.explore import detail
from tmqtt.explore.clients import Client, ClientRows, Disconnection
from tmqtt.explore.form import Form, Request
from tmqtt.explore.history import History
from tmqtt.messages.message import ShownMessage
from tmqtt.terminal import looks
from tmqtt.terminal.browsing import Browser
from tmqtt.terminal.cells import cut, length
from tmqtt.terminal.escaping import escape
from tmqtt.terminal.looks import Line
from tmqtt.topics.node import Node
from tmqtt.topics.numbers import Path, paths_in
from tmqtt.topics.topics import Topic, Topics
from tmqtt.topics.tree_frames import TreeFrames

_WIDE = 90  # cells from which on the topic has room beside the tree
_LOOKED_AT = 500  # topics with news in one look
_LONGEST_TEXT = 1_000  # bytes of a payload that a form begins with


class _Rows(TreeFrames):
    """The tree, whose topics the explorer shows, and whose keys it takes."""

    def __init__(self, topics: Topics, title: str, explorer: Explorer) -> None:
        super().__init__(topics, title)
        self._explorer = explorer

    def in_full(self, row: Node, now: float, width: int, height: int) -> list[Line]:
        return self._explorer.detail(row, now, width, height)

    def act(self, key: str, row: Node) -> bool:
        return self._explorer.act(key, row)

    def hints(self) -> list[tuple[str, int]]:
        return [*super().hints(), ("p publishes", 5), ("v view", 6)]

    def help(self) -> list[tuple[str, str]]:
        return [
            *super().help(),
            ("v", "show the value as what it is, as text, byte by byte"),
            ("n", "draw the next number in the JSON"),
            ("p", "publish a message, to this topic or another"),
            ("D", "have the broker forget what it has retained of this topic"),
            ("C", "the broker's clients, and those that are slow, where --api says who tells"),
        ]


class Explorer:
    """What is known, what is shown of it, and what a person wants done: `take_requests`.

    `add_all` messages, `look`, `press` keys, draw the `frame`. `path` is the way to the number that
    is drawn of each topic; without one, its first.
    """

    def __init__(
        self,
        title: str,
        now: float,
        path: Path | None,
        bars: str,
        clients: ClientRows | None = None,
    ) -> None:
        """`clients` are there where somebody tells of them."""
        self._clients = clients
        self._client_browser = None if clients is None else Browser[Client](clients)
        self._shows_clients = False
        self._topics = Topics(now)
        self._history = History()
        self._rows = _Rows(self._topics, title, self)
        self._browser: Browser[Node] = Browser(self._rows)
        self._view: detail.View = "auto"
        self._path = path
        self._bars = bars
        self._chosen_paths: dict[str, Path] = {}
        self._form: Form | None = None
        self._removing: Topic | None = None
        self._requests: list[Request | Disconnection] = []
        self.notice = ""  # what a key that was typed is answered

    def add_all(self, messages: Sequence[ShownMessage], at: float) -> None:
        """Messages have come, `at` seconds since 1970."""
        self._topics.add_all(messages)
        self._history.add_all(messages, at)

    def look(self, now: float) -> None:
        """Count and sort what has come."""
        self._topics.look(now, _LOOKED_AT)
        self._rows.look()
        self._browser.refresh()
        if self._client_browser is not None:
            self._client_browser.refresh()

    @property
    def is_behind(self) -> bool:
        """Whether there is more to look at than the last look did."""
        return self._rows.is_behind

    @property
    def shows_clients(self) -> bool:
        """Whether clients are shown, and not topics."""
        return self._shows_clients

    def take_requests(self) -> list[Request | Disconnection]:
        """What is to be published, and who is to be disconnected, since the last call."""
        requests, self._requests = self._requests, []
        return requests

    def press(self, key: str) -> bool:
        """A key was typed. Whether it ends all."""
        self.notice = ""
        if self._clients is not None and self._client_browser is not None and self._shows_clients:
            return self._press_at_clients(key, self._clients, self._client_browser)
        if self._form is not None:
            request = self._form.press(key)
            if request is not None:
                self._requests.append(request)
            if self._form.over:
                self._form = None
            return False
        if self._removing is not None:
            if key == "y":
                self._requests.append(Request(self._removing.name, b"", 0, retain=True))
            self._removing = None
            return False
        if key == "C" and not self._browser.edits:
            self._shows_clients = self._clients is not None
            if not self._shows_clients:
                self.notice = "Clients are shown where --api, or TMQTT_API, names the broker's API."
            return False
        return self._browser.press(key)

    def _press_at_clients(self, key: str, clients: ClientRows, browser: Browser[Client]) -> bool:
        client = clients.removing
        if client is not None:
            if key == "y":
                item = client.item
                self._requests.append(Disconnection(item["client_id"], item["mount_point"]))
            clients.removing = None
        elif browser.edits or key not in ("C", "s"):
            return browser.press(key)
        elif key == "C":
            self._shows_clients = False
        else:
            clients.turn_slow()
        return False

    def act(self, key: str, row: Node) -> bool:
        """Do what a key of the explorer's own asks for at a row; False for other keys."""
        if key == "v":
            self._view = detail.VIEWS[(detail.VIEWS.index(self._view) + 1) % len(detail.VIEWS)]
        elif key == "p":
            self._form = self._form_for(row)
        elif key == "D" and row.topic is not None:
            self._removing = row.topic
        elif key == "n" and row.topic is not None:
            self._draw_next(row.topic)
        else:
            return False
        return True

    def frame(self, now: float, width: int, height: int) -> list[Line]:
        """The screen: the tree, where it is wide enough the chosen topic beside it, and a form."""
        below: list[Line] = []
        if self._clients is not None and self._client_browser is not None and self._shows_clients:
            if self._clients.removing is not None:
                name = escape(self._clients.removing.item["client_id"])
                below = [((f"Disconnect {name}? y does it.", looks.WARNING),)]
            room = max(height - len(below), 1)
            return [*self._client_browser.frame(now, width, room), *below][-height:]
        if self._form is not None:
            below = [(("─" * width, looks.NOTE),), *self._form.lines(width)]
        elif self._removing is not None:
            name = escape(self._removing.name)
            below = [((f"Forget the retained message of {name}? y does it.", looks.WARNING),)]
        room = max(height - len(below), 1)
        if width < _WIDE or not self._browser.lists:
            return [*self._browser.frame(now, width, room), *below][-height:]
        left = width * 9 // 20
        tree = self._browser.frame(now, left, room)
        chosen = self._browser.chosen
        right = [] if chosen is None else self.detail(chosen, now, width - left - 3, room - 1)
        right += [()] * (room - len(right))
        return [
            *(_beside(one, left, other) for one, other in zip(tree, right, strict=True)),
            *below,
        ]

    def detail(self, row: Node, now: float, width: int, height: int) -> list[Line]:
        """All about a topic; of a branch, nothing."""
        topic = row.topic
        if topic is None:
            return []
        path = self._path_of(topic)
        kept = self._history.of(topic.name)
        return detail.lines(
            topic, kept, now, width, height, view=self._view, path=path, bars=self._bars
        )

    def last_frame(self, now: float, width: int, height: int) -> list[Line]:
        """What is to be left where the screen was."""
        return self._browser.last_frame(now, width, height)

    def _path_of(self, topic: Topic) -> Path | None:
        path = self._chosen_paths.get(topic.name, self._path)
        if path is None:
            path = next(iter(paths_in(topic.payload)), None)
        return path

    def _draw_next(self, topic: Topic) -> None:
        paths = paths_in(topic.payload)
        if paths:
            path = self._path_of(topic)
            at = paths.index(path) + 1 if path in paths else 0
            self._chosen_paths[topic.name] = paths[at % len(paths)]

    def _form_for(self, row: Node) -> Form:
        topic = row.topic
        if topic is None:
            levels: list[str] = []
            node: Node | None = row
            while node is not None and node.parent is not None:
                levels.append(node.level)
                node = node.parent
            return Form("/".join([*reversed(levels), ""]), "", retain=False)
        kept = self._history.of(topic.name)
        payload = ""
        if len(topic.payload) <= _LONGEST_TEXT:
            text = topic.payload.decode(errors="replace")
            payload = text if text.isprintable() and "\ufffd" not in text else ""
        return Form(topic.name, payload, retain=any(one.retained for one in kept))


def _beside(left: Line, width: int, right: Line) -> Line:
    shown = cut(left, width)
    return [*shown, (" " * (width - length(shown)), looks.PLAIN), (" │ ", looks.NOTE), *right]
