"""Topic filters taken apart, and how far they may make the broker look for what a topic matches.

A topic's own levels lead it to one node each of the tree of filters. Wildcards lead it elsewhere
too; but of all nodes whose paths have their wildcards in the same places, it can visit one only,
since the other levels of the path are those of the topic. So the number of these *places*, over all
filters, bounds the nodes that any topic visits, and the filters that it matches, however many
filters there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from trio_mqtt.protocol.topics import parse_shared


class TopicFilter:
    """A valid topic filter as a client names it, taken apart once."""

    __slots__ = ("plain", "shape", "share", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        # Of `$share/NAME/FILTER` the two; where it is not shared, no name and all of the filter.
        self.share, self.plain = parse_shared(text) or ("", text)
        # Its levels, where it has wildcards: of `a/+/b/#` it is `L+L#`.
        self.shape = ""
        if "+" in self.plain or "#" in self.plain:
            levels = self.plain.split("/")
            self.shape = "".join(level if level in ("+", "#") else "L" for level in levels)

    @property
    def places(self) -> list[str]:
        """Those of the wildcards, for each node of its path from the first one on.

        `a/+/b/#` has `L+`, `L+L` and `L+L#`; a filter without wildcards has none.
        """
        shape = self.shape
        if not shape:
            return []
        first = len(shape) - len(shape.lstrip("L"))
        return [shape[: end + 1] for end in range(first, len(shape))]


class FilterPaths:
    """The distinct places of wildcards in some filters, of one session or of several."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}  # of the filters, or sessions, that have a place

    def __len__(self) -> int:
        return len(self._counts)

    def __iter__(self) -> Iterator[str]:
        return iter(self._counts)

    def more_with(self, places: Sequence[str]) -> int:
        """How many there would be with these."""
        counts = self._counts
        return len(counts) + sum(place not in counts for place in places)

    def add(self, places: Sequence[str]) -> list[str]:
        """There is another filter with these places: those of them that there were not before."""
        counts = self._counts
        begun = [place for place in places if place not in counts]
        for place in places:
            counts[place] = counts.get(place, 0) + 1
        return begun

    def discard(self, places: Sequence[str]) -> list[str]:
        """A filter with these, which was added, is no more: those that there are no more."""
        counts = self._counts
        ended = [place for place in places if counts[place] == 1]
        for place in ended:
            del counts[place]
        for place in places:
            if place in counts:
                counts[place] -= 1
        return ended
