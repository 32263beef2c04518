"""The tree of `sub --tree`: topics by levels, with how many messages there were. Sans-IO."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tmqtt.terminal import keys, looks
from tmqtt.terminal.escaping import escape
from tmqtt.terminal.figures import counted
from tmqtt.terminal.looks import Line, Part
from tmqtt.topics.lines import in_full, not_kept, summary, value
from tmqtt.topics.topics import Topics
from tmqtt.topics.tree import Node, Tree


class TreeFrames:
    """The topics as a tree, with how many messages there were below each level."""

    heads = 1
    follows = True

    def __init__(self, topics: Topics, title: str) -> None:
        self._topics = topics
        self._tree = Tree()
        self._title = title
        self._hidden = 0
        self._pattern: re.Pattern[str] | None = None
        # Whether somebody has opened or closed a branch, or gone to one: then nothing else does.
        self._touched = False
        self._rows: list[Node] = []
        self._rows_of: object = None  # what they were made from

    def look(self) -> None:
        """Count what the last look at the topics found."""
        self._tree.update(self._topics.changed)

    def frame(self, now: float, width: int, height: int) -> list[Line]:
        del now
        lines: list[Line] = [summary(self._title, self._topics, width)]
        self._hidden = 0
        for branch in self._tree.branches(max(height - 2, 1)):
            node = branch.node
            self._hidden += branch.hidden
            if node is None:
                more = f"… {branch.hidden:,} more"
                lines.append(((branch.lead, looks.NOTE), (more, looks.NOTE)))
                continue
            lines.append(_line(node, branch.lead, width, closed=branch.hidden > 0))
        left_out = self.left_out()
        if left_out and len(lines) < height:
            lines.append(((left_out, looks.NOTE),))
        return lines[:height]

    def left_out(self) -> str:
        topics = self._topics
        words = []
        if self._hidden:
            words.append(f"▸ holds more: {self._hidden:,} of {len(topics.all):,} branches not open")
        return "; ".join([*words, *not_kept(topics)])

    # What is browsed.

    def rows(self, page: int) -> Sequence[Node]:
        tree = self._tree
        made_of = (tree.growth, self._pattern, page if not self._touched else 0)
        if made_of != self._rows_of:
            self._rows_of = made_of
            if not self._touched:
                tree.open_what_fits(page)
            self._rows = tree.visible(self._pattern)
        return self._rows

    def find(self, pattern: re.Pattern[str] | None) -> None:
        self._pattern = pattern

    def press(self, key: str, row: Node) -> Node | None:
        if key in ("e", "c"):
            self._tree.open_all(opened=key == "e")
            chosen: Node | None = row
            while key == "c" and row.parent is not None and row.parent is not self._tree.root:
                row = chosen = row.parent
        elif key in (keys.RIGHT, keys.ENTER, keys.LEFT):
            chosen = self._turn(key, row)
        else:
            return None
        self._touched, self._rows_of = True, None
        return chosen

    def _turn(self, key: str, row: Node) -> Node | None:
        """Open or close a branch, or go from it to the one above or below."""
        is_open = bool(row.below) and (row.opened or self._pattern is not None)
        if key == keys.LEFT:
            if is_open and self._pattern is None:
                row.opened = False
            elif row.parent is not None and row.parent is not self._tree.root:
                return row.parent
            return row
        if not row.below:
            return None if key == keys.ENTER else row
        if not is_open:
            row.opened = True
        elif key == keys.ENTER:
            row.opened = False
        elif self._pattern is None:
            return row.below[min(row.below)]
        return row

    def act(self, key: str, row: Node) -> bool:
        del key, row
        return False

    def notes(self) -> list[str]:
        return not_kept(self._topics)

    def hints(self) -> list[tuple[str, int]]:
        return [("Enter opens, closes", 4)]

    def help(self) -> list[tuple[str, str]]:
        return [
            ("→ Enter", "open a branch; Enter on a topic shows its last message in full"),
            ("←", "close a branch, or go to the one above"),
            ("e c", "open all branches, close all"),
        ]

    def in_full(self, row: Node, now: float, width: int, height: int) -> list[Line]:
        return [] if row.topic is None else in_full(row.topic, now, width, height)

    def lines(self, now: float, width: int, shown: Sequence[Node], chosen: int) -> list[Line]:
        del now
        lines: list[Line] = [summary(self._title, self._topics, width)]
        everything = self._pattern is not None
        for number, node in enumerate(shown):
            closed = bool(node.below) and not (node.opened or everything)
            line = _line(node, node.lead, width, closed=closed)
            if number == chosen:
                line = [line[0], *((text, f"reverse {style}".rstrip()) for text, style in line[1:])]
            lines.append(line)
        return lines


def _line(node: Node, lead: str, width: int, *, closed: bool) -> list[Part]:
    """A level of the tree: what is before it, its name, how many messages, the last one."""
    parts: list[Part] = [
        (lead, looks.NOTE),
        (escape(node.level[:width]) or '""', looks.TOPIC),
    ]
    counts = f"  {node.count:,}"
    if node.below:
        counts += f" in {counted(node.topics, 'topic')}"
    parts.append((counts, looks.NOTE))
    if closed:
        parts.append(("  ▸", looks.STRONG))
    if node.topic is not None:
        parts.append((f"  {value(node.topic.payload, width)}", looks.PLAIN))
    return parts
