"""What leaves for one client only once something else is over, in the order of its writing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from trio_mqtt.broker.journal import Journal
    from trio_mqtt.broker.promises import Awaited


class Held(Protocol):
    """Messages that wait, encoded, and may expire."""

    def encoded_anew(self, data: bytes) -> bytes:
        """What leaves of them now, where `data` was to."""


class Entry:
    """What leaves once a group of the journal is kept, and the bytes of what that promises.

    Or, where it has no group, once something else is over.
    """

    __slots__ = ("awaited", "data", "group", "messages", "promised")

    def __init__(self, group: int, awaited: Awaited | None = None) -> None:
        self.group = group
        self.awaited = awaited
        self.data: list[bytes] = []
        # Those that may expire, and where in `data` they are.
        self.messages: list[tuple[int, Held]] | None = None
        self.promised = 0


class HeldBack:
    """Entries, of which the first leaves first. What is written meanwhile belongs to the last.

    `stalls` is how many of them wait for others, not for the journal; `promised` the bytes of
    messages that the client has sent, and that they acknowledge.
    """

    __slots__ = ("_entries", "_journal", "_kept", "promised", "stalls")

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._journal: Journal | None = None
        self._kept = 0  # the last group of the journal that is kept, as far as it has told
        self.promised = 0
        self.stalls = 0

    def __bool__(self) -> bool:
        return bool(self._entries)

    @property
    def has_data(self) -> bool:
        """Whether anything is to leave."""
        return any(one.data for one in self._entries)

    def until_kept(self, journal: Journal, group: int, promised: int) -> None:
        """Hold back what is written from now on until a group is kept."""
        entries = self._entries
        if not entries or entries[-1].group != group:
            entries.append(Entry(group))
            self._journal = journal
        if promised:
            entries[-1].promised += promised
            self.promised += promised

    def until_over(self, awaited: Awaited) -> bool:
        """Hold back what is written from now on until something is over; False: it is already."""
        entries = self._entries
        if entries and entries[-1].awaited is awaited:
            return False
        entries.append(Entry(0, awaited))
        self.stalls += 1
        return True

    def add(self, data: bytes) -> None:
        """Hold something back."""
        self._entries[-1].data.append(data)

    def next_may_expire(self, messages: Held) -> None:
        """What is added next are messages of which some may expire."""
        last = self._entries[-1]
        if last.messages is None:
            last.messages = []
        last.messages.append((len(last.data), messages))

    def kept(self, group: int) -> None:
        """All groups up to this one are kept."""
        self._kept = max(group, self._kept)

    def let_go(self) -> list[Entry]:
        """The entries that wait for nothing any more: they are held back no longer."""
        entries = self._entries
        count = 0
        for entry in entries:
            awaited = entry.awaited
            if entry.group > self._kept if awaited is None else not awaited.is_over:
                break
            self.stalls -= awaited is not None
            self.promised -= entry.promised
            count += 1
        gone = entries[:count]
        del entries[:count]
        return gone

    def withhold(self) -> list[bytes]:
        """Take out what is held now, never to leave; what is written next waits as before."""
        withheld: list[bytes] = []
        for entry in self._entries:
            withheld += entry.data
            entry.data.clear()
            entry.messages = None
        return withheld

    def end(self) -> tuple[list[Awaited], Journal | None]:
        """Hold nothing back any more; what was waited for."""
        awaited = [entry.awaited for entry in self._entries if entry.awaited is not None]
        journal = self._journal if self._entries else None
        self._entries.clear()
        return awaited, journal
