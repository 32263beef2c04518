"""What is too old where topics have ages of their own. It is found in small steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from trio_mqtt.history.chunks import bucket_of
from trio_mqtt.history.queries import MICROSECONDS
from trio_mqtt.protocol.topics import topic_matches_filter

if TYPE_CHECKING:
    from trio_mqtt.history.file import HistoryFile
    from trio_mqtt.history.settings import HistorySettings

_AT_ONCE = 200  # chunks that are looked at together
_WORK = 2_000  # chunks and buckets that are looked at in a step
_KNOWN = 100_000  # topics of which it is remembered which age they have
_DEFAULT = ""


Row: TypeAlias = tuple[int, int, int, int, int]
"""What is known of a chunk without its messages: number, topic, messages, first, last."""


class _Place(NamedTuple):
    """How far it has been looked for what is too old: behind this chunk nothing was looked at."""

    bucket: int
    topic: int = 0
    chunk: int = 0


_START = _Place(-(1 << 62))


class Retention:
    """Looks through a file for what is too old, from the oldest on, for each age by itself."""

    def __init__(self, file: HistoryFile) -> None:
        self._file = file
        self._filters: list[str] = []
        self._topics: dict[str, str] = {}
        self._reached: dict[str, _Place] = {}

    def begin_anew(self) -> None:
        """Look at everything again: something was not removed, or ages have changed."""
        self._reached.clear()

    def find(self, settings: HistorySettings, now: float) -> tuple[str, list[Row]] | None:
        """Some of what is too old, and the filter whose age says so: empty for `age`.

        There may be none of it, and more to look at. None: that was all for now.
        """
        if self._filters != (filters := sorted(settings.ages, key=_precision)):
            self._filters = filters
            self._topics.clear()
            self._reached.clear()
        self._go_back()
        for topic_filter, age in ((_DEFAULT, settings.age), *settings.ages.items()):
            if age:
                beyond = bucket_of(round((now - age) * MICROSECONDS))
                rows = self._look(topic_filter, beyond)
                if rows is not None:
                    return topic_filter, rows
        return None

    def _go_back(self) -> None:
        """What was added where nothing is expected any more, as a clock was set back, is found."""
        earliest, self._file.earliest = self._file.earliest, None
        if earliest is None:
            return
        for topic_filter, place in self._reached.items():
            if earliest <= place.bucket:
                self._reached[topic_filter] = _Place(earliest)

    def _look(self, topic_filter: str, beyond: int) -> list[Row] | None:
        """Some chunks before a bucket with the age of a filter; None where all is looked at."""
        place = self._reached.get(topic_filter, _START)
        work = 0
        while work < _WORK:
            if place.bucket >= beyond:
                return None
            found = self._file.chunks_behind(*place, _AT_ONCE)
            work += 1 + len(found)
            if found:
                place = _Place(place.bucket, *found[-1])
            else:
                following = self._file.bucket_after(place.bucket)
                if following is None:
                    return None
                place = _Place(following)
            self._reached[topic_filter] = place
            chosen = [chunk for topic, chunk in found if self._filter_of(topic) == topic_filter]
            if chosen:
                return self._file.rows(chosen)
        return []

    def _filter_of(self, topic: int) -> str:
        """The filter by whose age a topic goes: the most precise of those that match it."""
        name = self._file.names.get(topic, "")
        found = self._topics.get(name)
        if found is None:
            matching = (one for one in self._filters if topic_matches_filter(name, one))
            if len(self._topics) >= _KNOWN:
                self._topics.clear()
            self._topics[name] = found = next(matching, _DEFAULT)
        return found


def _precision(topic_filter: str) -> tuple[tuple[int, ...], str]:
    """Sorts filters that match the same topic: a name is more precise than `+`, that than `#`."""
    levels = topic_filter.split("/")
    return tuple({"+": 1, "#": 2}.get(level, 0) for level in levels), topic_filter
