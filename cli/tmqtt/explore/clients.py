"""The clients of a broker as rows of a screen: as its API tells of them from time to time. Sans-IO.

The broker does the searching: what is typed, and whether only slow readers are wanted, is `asked`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tmqtt.connecting.listing import field_lines, table
from tmqtt.connecting.seen_clients import COLUMNS, FIELDS
from tmqtt.terminal import looks
from tmqtt.terminal.cells import cut, wrap
from tmqtt.terminal.escaping import escape
from tmqtt.terminal.looks import Line

MOST = 1_000  # clients that are shown: beyond it the broker is asked for less
_ORDERS = ("client_id", "queued_messages", "in_flight", "dropped", "since", "subscriptions")
_ORDER_NAMES = ("name", "queue", "in flight", "dropped", "time", "subscriptions")


@dataclass(frozen=True, slots=True)
class Disconnection:
    """A client that is to be disconnected."""

    client_id: str
    mount_point: str


class Client:
    """One client, the same object as long as it is there."""

    __slots__ = ("item",)

    def __init__(self, item: Mapping[str, Any]) -> None:
        self.item = item


class ClientRows:
    """Rows for a `Browser`: `take` what the API answers to `asked`."""

    heads = 1
    follows = True

    def __init__(self) -> None:
        self._clients: dict[tuple[str, str], Client] = {}
        self._rows: list[Client] = []
        self._total = 0
        self._problem = "Asking the broker …"
        self._search = ""
        self._slow = False
        self._order = 0
        self.removing: Client | None = None

    @property
    def asked(self) -> dict[str, object]:
        """What the broker is to be asked for."""
        order = _ORDERS[self._order]
        return {
            "search": self._search or None,
            "slow": self._slow or None,
            "sort": order,
            "descending": order not in ("client_id", "since") or None,
            "limit": MOST,
        }

    def take(self, answer: Mapping[str, Any]) -> None:
        """What the broker has answered."""
        before, self._clients = self._clients, {}
        self._rows = []
        for item in answer["items"]:
            key = item["mount_point"], item["client_id"]
            client = before.get(key) or Client(item)
            client.item = item
            self._clients[key] = client
            self._rows.append(client)
        self._total = answer["total"]
        self._problem = ""

    def fail(self, problem: str) -> None:
        """The broker could not be asked; what is known is still shown."""
        self._problem = problem

    def rows(self, page: int) -> Sequence[Client]:
        return self._rows

    def lines(self, now: float, width: int, shown: Sequence[Client], chosen: int) -> list[Line]:
        if self._problem:
            return [*wrap([(escape(self._problem), looks.WARNING)], width)]
        if not shown:
            return []
        head, *rows = table([one.item for one in shown], COLUMNS)
        lines: list[Line] = [tuple(cut(head, width))]
        for number, line in enumerate(rows):
            text = looks.plain(line).ljust(width)
            look = "reverse" if number == chosen else looks.PLAIN
            if number != chosen and shown[number].item["dropped"]:
                look = looks.WARNING
            lines.append(tuple(cut([(text, look)], width)))
        return lines

    def in_full(self, row: Client, now: float, width: int, height: int) -> list[Line]:
        return [cut for line in field_lines(row.item, FIELDS) for cut in wrap(line, width)][:height]

    def press(self, key: str, row: Client) -> Client | None:
        return None

    def act(self, key: str, row: Client) -> bool:
        if key == "o":
            self._order = (self._order + 1) % len(_ORDERS)
        elif key == "x":
            self.removing = row
        else:
            return False
        return True

    def turn_slow(self) -> None:
        """Show slow readers alone, or all again: there may be no row to be at."""
        self._slow = not self._slow

    def find(self, pattern: re.Pattern[str] | None) -> None:
        self._search = "" if pattern is None else re.sub(r"\\(.)", r"\1", pattern.pattern)

    def notes(self) -> list[str]:
        whom = "slow readers" if self._slow else "clients"
        words = [f"{self._total:,} {whom} by {_ORDER_NAMES[self._order]}"]
        if self._total > len(self._rows):
            words.append(f"{len(self._rows):,} shown, / searches all")
        return words

    def hints(self) -> list[tuple[str, int]]:
        return [("C topics", 4), ("s slow", 5), ("x disconnects", 6), ("o order", 7)]

    def help(self) -> list[tuple[str, str]]:
        return [
            ("C", "go back to the topics"),
            ("s", "only slow readers: something had no room, or half of their queue is full"),
            ("o", "another order: name, queue, in flight, dropped, time, subscriptions"),
            ("Enter", "all about a client"),
            ("x", "disconnect a client, after a y"),
        ]
