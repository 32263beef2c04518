"""Which sessions have what was taken out of a shared log, until the log knows that it was taken.

A node that takes an entry has it noted in the log's slot to whom it gives the messages, then writes
them with those sessions, with a mark, and then has the entry leave the log. If it dies before that,
the next who takes the entry asks those sessions: what is with them is given to nobody else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from trio_mqtt.cluster.engine.calls import Call, EngineRefusedError, Script
from trio_mqtt.cluster.positions import EntryId, entry_id, entry_text

if TYPE_CHECKING:
    from trio_mqtt.cluster.engine.engine import Engine

MARK = b"h/"
_LASTING = 3_600_000  # milliseconds that a mark is of use, however long a node is away

GIVE = Script(
    """
-- entry, the sessions with the epochs under which the node has them, the node that has taken it
local of = redis.pcall('XPENDING', KEYS[2], 'g', ARGV[1], ARGV[1], 1)
if of.err then return 1 end  -- nobody else shares it any more
if not of[1] or of[1][2] ~= ARGV[3] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
""",
    fenced=True,
)
"""Messages of an entry are about to be written with sessions: 0 where it is another node's."""

HAS = Script(
    """
-- mark, epoch
local held = redis.call('HGET', KEYS[1], ARGV[1])
if held then return held end
-- Who was to write it has not, and cannot any more.
if redis.call('HGET', KEYS[1], 'epoch') == ARGV[2] then
  redis.call('HSET', KEYS[1], 'epoch', string.format('%.0f', tonumber(ARGV[2]) + 1))
end
return ''
""",
    fenced=True,
)
"""Which messages of an entry a session has; none that it has not will be written with it under the
epoch under which it was to have them."""


def mark(shared_filter: str, entry: EntryId) -> bytes:
    """The field by which a session says which messages of an entry it has."""
    return MARK + f"{entry_text(entry)} {shared_filter}".encode()


def is_over(field: bytes, now: float) -> bool:
    """Whether a field of a session is a mark that is of no use any more; `now` in milliseconds."""
    if not field.startswith(MARK):
        return False
    text = field[len(MARK) :].partition(b" ")[0]
    return entry_id(text)[0] < now - _LASTING


def encode_indexes(indexes: Iterable[int]) -> bytes:
    """What a mark says."""
    return b" ".join(b"%d" % one for one in indexes)


class Giving(NamedTuple):
    """An entry that a node has taken and is giving to sessions: their keys, and the epochs under
    which it has them, by their numbers.

    `before` is what was noted before: of that some may be with those sessions.
    """

    shared_filter: str
    entry: EntryId
    node: str
    sessions: Mapping[int, tuple[str, int]]
    before: bytes = b""


class Given:
    """Notes what is given to whom, and looks it up. All calls raise EngineGoneError."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def _session(self, key: str) -> bytes:
        return self._engine.keys.of_client(key, "session")

    def call(self, giving: Giving) -> Call:
        """The call that notes to whom an entry is given: it answers 0 where it is another's."""
        lines = [f"{epoch} {key}".encode() for key, epoch in giving.sessions.values()]
        text = b"\n".join([giving.before, *lines] if giving.before else lines)
        of_filter = self._engine.keys.of_filter
        keys = [of_filter(giving.shared_filter, word) for word in ("given", "log")]
        return self._engine.scripted(GIVE, keys, entry_text(giving.entry), text, giving.node)

    async def held(self, shared_filter: str, entry: EntryId, given: bytes) -> set[int]:
        """Which messages of an entry are with sessions, where `given` was noted for it."""
        field = mark(shared_filter, entry)
        calls = []
        for line in given.decode().split("\n"):
            epoch, _, key = line.partition(" ")
            calls.append(self._engine.scripted(HAS, [self._session(key)], field, epoch))
        indexes: set[int] = set()
        for reply in await self._engine.all(calls):
            if isinstance(reply, EngineRefusedError):
                raise reply
            if isinstance(reply, bytes):
                indexes.update(map(int, reply.split()))
        return indexes

    async def forget(self, shared_filter: str, given: Iterable[tuple[EntryId, str]]) -> None:
        """The log knows of entries that were given to sessions, which need no mark any more."""
        calls: Sequence[Call] = [
            Call("HDEL", self._session(key), mark(shared_filter, entry)) for entry, key in given
        ]
        await self._engine.all(calls)


def keys_of(given: bytes) -> list[str]:
    """The sessions to which an entry was to be given."""
    if not given:
        return []
    return [line.partition(" ")[2] for line in given.decode().split("\n")]
