"""How much of the tree of filters one topic may visit: what a broker can promise of matching.

A topic's own levels lead it to one node each. Wildcards lead it elsewhere too; but of all nodes
whose paths have their wildcards in the same places, it can visit one only, since the other levels
of the path are those of the topic. So the number of these *places*, over all filters, bounds the
nodes that any topic visits, and the filters that it matches, however many filters there are.
"""

from __future__ import annotations

from collections.abc import Sequence

from trio_mqtt.protocol.topics import parse_shared


def wildcard_paths(topic_filter: str) -> Sequence[str]:
    """The places of the wildcards in a filter, for each node of its path from the first one on.

    `a/+/b/#` has `L+`, `L+L` and `L+L#`; a filter without wildcards has none.
    """
    shared = parse_shared(topic_filter)
    plain = shared[1] if shared else topic_filter
    if "+" not in plain and "#" not in plain:
        return ()
    shape = "".join(level if level in ("+", "#") else "L" for level in plain.split("/"))
    first = len(shape) - len(shape.lstrip("L"))
    return [shape[: end + 1] for end in range(first, len(shape))]


class FilterPaths:
    """The distinct places of wildcards in some filters, of one session or of a broker."""

    __slots__ = ("_filters",)

    def __init__(self) -> None:
        self._filters: dict[str, int] = {}  # how many have them

    def __len__(self) -> int:
        return len(self._filters)

    def more_with(self, paths: Sequence[str]) -> int:
        """How many there would be with another filter's `paths`."""
        filters = self._filters
        return len(filters) + sum(path not in filters for path in paths)

    def add(self, paths: Sequence[str]) -> None:
        """There is a filter with these."""
        filters = self._filters
        for path in paths:
            filters[path] = filters.get(path, 0) + 1

    def discard(self, paths: Sequence[str]) -> None:
        """A filter with these, which was added, is no more."""
        filters = self._filters
        for path in paths:
            left = filters[path] - 1
            if left:
                filters[path] = left
            else:
                del filters[path]
