"""The logs of topic filters that durable sessions have: each message once, however many have it.

Who reads a log and finds that an entry does not follow the one that it had last has missed some:
they were beyond the bounds, or have not come to it yet.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from trio_mqtt.cluster import log_scripts as scripts
from trio_mqtt.cluster.engine.calls import Call, EngineRefusedError, answered
from trio_mqtt.cluster.positions import NOTHING, EntryId, Place, entry_id, entry_text
from trio_mqtt.errors import StoreError

if TYPE_CHECKING:
    from trio_mqtt.cluster.engine.calls import Reply, Value
    from trio_mqtt.cluster.engine.engine import Engine
    from trio_mqtt.protocol.packets import Publish

# Bytes of one read, near enough, and the entries that it has at most.
READ_BYTES = 256 * 1024
READ_ENTRIES = 256
_WORDS = "log", "state", "holders", "marks", "epochs", "given"  # the keys of a filter
_FIRST_READ = 16  # entries, of which nobody knows how large they are


class Entry(NamedTuple):
    """What was added to a log at once, and which entry was before it.

    `given` are the sessions to which another node was giving it, as `Given` wrote them.
    """

    entry: EntryId
    previous: EntryId
    data: bytes
    given: bytes = b""


class Appended(NamedTuple):
    """Where in a log what was added is. `entry` is NOTHING where it is there already, and where
    `is_unwanted` says that no session has the filter any more.
    """

    entry: EntryId
    previous: EntryId
    is_unwanted: bool = False


@dataclass(slots=True)
class Publisher:
    """Who has published what is added, at QoS 2: its messages, one by one.

    `epoch` is that under which the node has the session of the client: what comes by one that had
    it before is too late. `is_known` says that this one message was perhaps added before, by a node
    that has died: then it is alone. Up to its message `kept` the session itself says what has come,
    and logs need not know it.
    """

    client: str
    epoch: int
    messages: list[str]
    is_known: bool = False
    kept: int = 0

    @property
    def arguments(self) -> tuple[str, int, str, int]:
        """What the script is given."""
        client = f"{'?' if self.is_known else '='}{self.client}"
        return client, self.epoch, " ".join(self.messages), self.kept


def identity(number: int, message: Publish) -> str:
    """What tells a message of QoS 2 from others of its client: it is its session's `number`th."""
    digest = blake2b(digest_size=9)
    digest.update(f"{message.packet_id} {message.topic}\0".encode())
    digest.update(message.payload)
    return f"{number}:{digest.hexdigest()}"


class Logs:
    """The logs of a cluster, as one node uses them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        settings = engine.settings
        age = settings.log_age
        self._bounds: tuple[Value, ...] = (
            0 if age == float("inf") else int(age * 1000),
            settings.log_messages,
            settings.log_bytes,
        )

    def _keys(self, topic_filter: str) -> list[bytes]:
        of_filter = self._engine.keys.of_filter
        return [of_filter(topic_filter, one) for one in _WORDS]

    async def wait_returned(self) -> None:
        """Wait until logs can be read, and added to."""
        await self._engine.wait_returned()

    async def call_all(self, calls: Sequence[Call]) -> list[Reply | EngineRefusedError]:
        """What the engine answers to calls that were made here. Raises EngineGoneError."""
        return await self._engine.all(calls)

    # -- writing --------------------------------------------------------------------------------

    def append(
        self,
        node: str,
        topic_filter: str,
        number: int,
        data: bytes,
        messages: int,
        publisher: Publisher | None = None,
        left: Mapping[str, Iterable[bytes]] | None = None,
    ) -> Call:
        """The call that adds an entry of so many messages; `appended` reads what it answers.

        `number` goes up with everything that a node adds to the log: what has come already does so
        once. `left` are the fields by which sessions had the messages until now, by their keys: see
        `left`. Raises EngineFencedError where this node has no lease.
        """
        more: tuple[Value, ...] = () if publisher is None else publisher.arguments
        script = scripts.APPEND
        if left:
            script = scripts.APPEND_LEFT
            for key, fields in left.items():
                more += key, b" ".join(fields)
            more += (len(left),)
        return self._engine.scripted(
            script,
            self._keys(topic_filter),
            node,
            number,
            data,
            messages,
            *self._bounds,
            *more,
        )

    def appended(self, reply: Reply | EngineRefusedError) -> Appended:
        """What an append answers. Raises what the engine did."""
        if isinstance(reply, EngineRefusedError):
            raise reply
        if isinstance(reply, list):
            entry, previous = reply
            return Appended(_entry(entry), _entry(previous))
        return Appended(NOTHING, NOTHING, reply == scripts.NOBODY)

    async def left(self, topic_filters: Iterable[str], session: str) -> dict[str, set[bytes]]:
        """Which fields of a session logs say to be over, by filter: its node had given back what
        stands there, and died before it could say so with the session. Raises EngineGoneError.
        """
        of_filter, field = self._engine.keys.of_filter, scripts.LEFT + session.encode()
        filters = list(topic_filters)
        calls = [Call("HGET", of_filter(one, "state"), field) for one in filters]
        replies = answered(await self._engine.all(calls))
        return {
            topic_filter: set(reply.split()[1:])
            for topic_filter, reply in zip(filters, replies, strict=True)
            if isinstance(reply, bytes)
        }

    def forget_left(self, topic_filter: str, session: str) -> Call:
        """The call after which a log does not say that any more."""
        return self._engine.scripted(scripts.FORGET_LEFT, self._keys(topic_filter), session)

    async def mend(self, topic_filter: str) -> list[str]:
        """Put keys of a filter aside that are not what they should be, as somebody has written
        there; which these were.

        Where that is the log, whoever has not had all of it finds that some is missing.
        """
        is_shared = topic_filter.startswith("$share/")
        reply = await self._engine.run(scripts.MEND, self._keys(topic_filter), int(is_shared))
        return [str(key, "utf-8", "replace") for key in _listed(reply)]

    # -- who has it -----------------------------------------------------------------------------

    async def hold(self, topic_filter: str, session: str, epoch: int = 0) -> tuple[EntryId, int]:
        """A session, which its node has under an epoch, has a filter: the last entry of its log,
        and how many sessions have it.
        """
        keys = self._keys(topic_filter)
        reply = await self._engine.run(scripts.HOLD, keys, session, epoch)
        last, count = _listed(reply)
        return _entry(last), _number(count)

    async def release(self, topic_filter: str, sessions: Mapping[str, int]) -> int:
        """Sessions have a filter no more; how many others have.

        With each is the epoch under which its node had it: one that has come to have the filter
        since is another session. 0 where no other can have.
        """
        flat = [one for pair in sessions.items() for one in pair]
        left = await self._engine.run(scripts.RELEASE, self._keys(topic_filter), *flat)
        return _number(left)

    async def done(self, moved: Mapping[str, Mapping[str, EntryId]]) -> None:
        """Sessions are done with logs, each up to an entry, by filter and session.

        What nobody needs any more goes. Raises EngineGoneError.
        """
        calls = [
            self._engine.scripted(
                scripts.DONE,
                self._keys(topic_filter),
                *(one for key, entry in sessions.items() for one in (entry[0], key)),
            )
            for topic_filter, all_sessions in moved.items()
            for sessions in _in_parts(all_sessions)
        ]
        await self._engine.all(calls)

    # -- reading --------------------------------------------------------------------------------

    async def last(self, topic_filter: str) -> EntryId:
        """The last entry of a log."""
        state = self._engine.keys.of_filter(topic_filter, "state")
        reply = await self._engine.call("HGET", state, b"last")
        return NOTHING if reply is None else _entry(reply)

    async def share(self, shared_filter: str) -> None:
        """The log of `$share/NAME/FILTER` is shared from now on: each entry is one node's."""
        await self._engine.run(scripts.SHARE, self._keys(shared_filter))

    async def take(
        self,
        shared_filter: str,
        node: str,
        *,
        count: int,
        dead: Collection[str] = (),
        forgotten_after: float = 3600.0,
    ) -> tuple[Sequence[Entry], list[str]]:
        """Entries for a node, at most `count`: those that it has not said to be `taken`, those that
        one of the `dead` has not, or new ones. Where there are none, the nodes that have some.
        Who has none, and has not asked for longer, is forgotten.
        """
        keys = self._keys(shared_filter)
        forgotten = int(forgotten_after * 1000)
        reply = await self._engine.run(scripts.TAKE, keys, node, count, forgotten, *dead)
        entries, others = map(_listed, _listed(reply))
        return [_read(one) for one in entries], [str(one, "utf-8") for one in others]

    async def taken(self, shared_filter: str, entries: Sequence[Entry]) -> None:
        """Entries are with those who get them, and nobody else is to have them."""
        texts = [entry_text(one.entry) for one in entries]
        await self._engine.run(scripts.TAKEN, self._keys(shared_filter), *texts)

    async def are_whole(self, places: Mapping[str, Place]) -> bool:
        """Whether logs have all that comes after places in them.

        Raises EngineGoneError and EngineRefusedError.
        """
        calls = []
        for topic_filter, place in places.items():
            start = entry_text(place.entry)
            # An entry of which messages are left is to be there itself.
            after = start if place.messages != -1 else f"({start}"
            calls.append(
                self._engine.scripted(scripts.WHOLE, self._keys(topic_filter), after, start)
            )
        return all(reply == 1 for reply in answered(await self._engine.all(calls)))

    async def read(
        self, topic_filter: str, place: Place, end: EntryId | None = None, *, count: int = 0
    ) -> Sequence[Entry]:
        """Entries from a place on, up to `end`, at most `count`; none where there are no more.

        The first of them is the one that the place is in, where some of its messages come after it.
        """
        start = entry_text(place.entry)
        reply = await self._engine.call(
            "XRANGE",
            self._engine.keys.of_filter(topic_filter, "log"),
            f"({start}" if place.messages == -1 else start,
            "+" if end is None else entry_text(end),
            "COUNT",
            count or _FIRST_READ,
        )
        return [_read(one) for one in _listed(reply)]


def fits(entries: Sequence[Entry]) -> int:
    """How many entries are to be read next, where these were the last."""
    size = sum(len(one.data) for one in entries)
    if not size:
        return _FIRST_READ
    return max(1, min(READ_ENTRIES, READ_BYTES * len(entries) // size))


def follows(entry: Entry, place: Place) -> bool:
    """Whether nothing is missing between a place and the first entry that was read from there."""
    return entry.entry == place.entry or entry.previous <= place.entry


_PART = 1_000  # sessions that one call is about


def _in_parts(sessions: Mapping[str, EntryId]) -> Iterable[Mapping[str, EntryId]]:
    items = list(sessions.items())
    for start in range(0, len(items), _PART):
        yield dict(items[start : start + _PART])


def _listed(reply: Reply) -> list[Reply]:
    if not isinstance(reply, list):
        raise StoreError(f"The engine answers {reply!r}, and not a list.")
    return reply


def _number(reply: Reply) -> int:
    if not isinstance(reply, int):
        raise StoreError(f"The engine answers {reply!r}, and not a number.")
    return reply


def _entry(text: Reply) -> EntryId:
    if not isinstance(text, bytes):
        raise StoreError(f"The engine answers {text!r}, and not an entry.")
    return entry_id(text)


def _read(reply: Reply) -> Entry:
    name, fields, *given = _listed(reply)
    values = _listed(fields)
    found = dict(zip(values[::2], values[1::2], strict=True))
    data, previous = found.get(b"e"), found.get(b"p")
    if not isinstance(data, bytes) or not isinstance(previous, bytes):
        raise StoreError(f"An entry of a log is none: {name!r}.")
    given_to = given[0] if given and isinstance(given[0], bytes) else b""
    return Entry(_entry(name), entry_id(previous), data, given_to)
