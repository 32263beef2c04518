"""Bans hold at all nodes of a cluster, and outlive them: the engine keeps them."""

from __future__ import annotations

import struct
import time
from typing import TYPE_CHECKING

from trio_mqtt.broker.access.bans import Ban
from trio_mqtt.cluster.entries import EntryError
from trio_mqtt.errors import EngineError, LocalProtocolError, StoreError

if TYPE_CHECKING:
    from trio_mqtt.broker.access.bans import BanKind
    from trio_mqtt.broker.core import Core
    from trio_mqtt.cluster.changes import Changes
    from trio_mqtt.cluster.engine.engine import Engine

BANS = 5  # the kind of what tells of one in the stream of changes
_LENGTH = struct.Struct(">H")
_ENDS = b"1"  # before a ban that ends connections too
_AT_ONCE = 100  # bans that are over, and go with what is said next


class BansEverywhere:
    """Tells the others of bans, and does what they tell."""

    def __init__(self, core: Core, engine: Engine, changes: Changes) -> None:
        self._core = core
        self._engine = engine
        self._changes = changes
        self._key = engine.keys.shared("bans")
        # Those that the engine has, as far as is known, and when each ends.
        self._known: dict[bytes, float | None] = {}

    async def say(self, ban: Ban, *, ends: bool) -> None:
        """A ban holds everywhere from now on; `ends`: connections end, too. Raises StoreError."""
        field = _field(ban.kind, ban.value)
        await self._say(field, (_ENDS if ends else b"0") + ban.text.encode())
        # Before it comes back in the stream of changes, too, the next that is said lets go of it.
        self._known[field] = ban.until

    async def lift(self, kind: BanKind, value: str) -> None:
        """A ban holds nowhere any more. Raises StoreError."""
        await self._say(_field(kind, value), b"")

    async def _say(self, field: bytes, value: bytes) -> None:
        now = time.time()
        over = [one for one, until in self._known.items() if until is not None and until <= now]
        fields = {**dict.fromkeys(over[:_AT_ONCE], b""), field: value}
        item = b"".join((_LENGTH.pack(len(field)), field, value))
        try:
            await self._changes.make(self._key, fields, [(BANS, item)])
        except EngineError as error:
            raise StoreError(f"This is so at this broker alone. {error}") from error
        for one in over[:_AT_ONCE]:
            self._known.pop(one, None)

    def on_change(self, data: memoryview) -> None:
        """A node has said something. Raises EntryError where that is damaged."""
        try:
            (size,) = _LENGTH.unpack_from(data, 0)
        except struct.error as error:
            raise EntryError(f"a damaged ban: {error}") from error
        at = _LENGTH.size + size
        field, value = bytes(data[_LENGTH.size : at]), bytes(data[at:])
        if value:
            self._take(field, value)
        else:
            self._no_longer(field)

    async def load(self) -> None:
        """Know all that there are, and no others. Raises EngineGoneError."""
        found: set[bytes] = set()
        async for fields in self._changes.fields(self._key):
            for field, value in fields:
                found.add(field)
                self._take(field, value)
        for field in self._known.keys() - found:
            self._no_longer(field)

    def _take(self, field: bytes, value: bytes) -> None:
        try:
            ban = Ban.restored(value[1:].decode())
        except (ValueError, TypeError) as error:
            raise EntryError(f"a damaged ban: {error}") from error
        bans = self._core.bans
        is_new = ban not in bans
        self._known[field] = ban.until
        if ban.until is None or ban.until > time.time():
            try:
                bans.add(ban)
            except LocalProtocolError as error:
                raise EntryError(str(error)) from error
            if is_new and value.startswith(_ENDS):
                bans.ends(ban)

    def _no_longer(self, field: bytes) -> None:
        self._known.pop(field, None)
        kind, _, value = field.decode(errors="replace").partition("/")
        self._core.bans.remove(kind, value)  # type: ignore[arg-type] # there is none of another


def _field(kind: BanKind, value: str) -> bytes:
    return f"{kind}/{value}".encode()
