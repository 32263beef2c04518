"""The tree of `sub --tree`: topics by levels, with how many messages there were. Sans-IO."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tmqtt.terminal import keys, looks
from tmqtt.terminal.escaping import escape
from tmqtt.terminal.figures import counted
from tmqtt.terminal.looks import Line, Part
from tmqtt.topics.found import Found
from tmqtt.topics.lines import in_full, not_kept, summary, value
from tmqtt.topics.node import Node
from tmqtt.topics.shown import ShownLines
from tmqtt.topics.topics import Topics
from tmqtt.topics.tree import Tree


class TreeFrames:
    """The topics as a tree, with how many messages there were below each level."""

    heads = 1
    follows = True

    def __init__(self, topics: Topics, title: str) -> None:
        self._topics = topics
        self._tree = Tree()
        self._title = title
        self._hidden = 0
        self._found: Found | None = None  # where somebody looks for something
        # Whether somebody has opened or closed a branch, or gone to one: then nothing else does.
        self._touched = False
        self._opened_for: object = None  # what was opened as it fits

    def look(self) -> None:
        """Count what the last look at the topics found, and look for more of what is sought."""
        self._tree.update(self._topics.changed)
        if self._found is not None:
            self._found.step()

    @property
    def is_behind(self) -> bool:
        """Whether there is more to look at than the last look did."""
        return self._topics.waiting or (self._found is not None and not self._found.is_whole)

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
        if self._found is not None:
            return ShownLines(self._found)
        if not self._touched and self._opened_for != (tree.growth, page):
            self._opened_for = (tree.growth, page)
            tree.opened.open_what_fits(page)
        return ShownLines(tree.opened)

    def find(self, pattern: re.Pattern[str] | None) -> None:
        before, self._found = self._found, None
        if pattern is None:
            return
        # Text that goes on is found where its beginning is.
        if before is not None and pattern.pattern.startswith(before.pattern.pattern):
            self._found = before.narrowed(pattern)
        else:
            self._found = Found(self._tree.root, self._tree.ends, pattern)
        self._found.step()

    def press(self, key: str, row: Node) -> Node | None:
        if key in ("e", "c"):
            self._tree.opened.turn_all(opened=key == "e")
            chosen: Node | None = row
            while key == "c" and row.parent is not None and row.parent is not self._tree.root:
                row = chosen = row.parent
        elif key in (keys.RIGHT, keys.ENTER, keys.LEFT):
            chosen = self._turn(key, row)
        else:
            return None
        self._touched = True
        return chosen

    def _turn(self, key: str, row: Node) -> Node | None:
        """Open or close a branch, or go from it to the one above or below."""
        opened = self._tree.opened
        is_open = self._is_open(row)
        if key == keys.LEFT:
            if is_open and self._found is None:
                opened.turn(row, opened=False)
            elif row.parent is not None and row.parent is not self._tree.root:
                return row.parent
            return row
        if not row.below:
            return None if key == keys.ENTER else row
        if not is_open:
            opened.turn(row, opened=True)
        elif key == keys.ENTER:
            opened.turn(row, opened=False)
        elif self._found is None:
            return row.below[row.names[0]]
        return row

    def _is_open(self, row: Node) -> bool:
        return bool(row.below) and (self._found is not None or self._tree.opened.is_open(row))

    def act(self, key: str, row: Node) -> bool:
        del key, row
        return False

    def notes(self) -> list[str]:
        is_looking = self._found is not None and not self._found.is_whole
        return [*["looking for more"] * is_looking, *not_kept(self._topics)]

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
        for number, node in enumerate(shown):
            closed = bool(node.below) and not self._is_open(node)
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
