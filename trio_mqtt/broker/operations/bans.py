"""Bans: who may not connect, listed, added and lifted."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.access.bans import Ban, BanKind, Bans, banned_value
from trio_mqtt.broker.operations.forms.bans import BanName, Banned, BanPage, BanQuery, NewBan
from trio_mqtt.broker.operations.forms.messages import Done
from trio_mqtt.broker.operations.turns import chosen, page
from trio_mqtt.errors import NotFoundError
from trio_mqtt.protocol.reason_codes import ReasonCode

if TYPE_CHECKING:
    from trio_mqtt.broker.connections.link import Link
    from trio_mqtt.broker.connections.registry import Connections
    from trio_mqtt.broker.core import Core


class BansSeen:
    """The bans of one broker. With a storage they outlive it; those of a cluster are all nodes'."""

    def __init__(self, core: Core, connections: Connections) -> None:
        self._core = core
        self._connections = connections

    async def bans(self, asked: BanQuery) -> BanPage:
        search = asked.search.casefold()
        found = await chosen(
            self._core.bans.all(),
            lambda ban: (
                (asked.kind is None or ban.kind == asked.kind)
                and (search in ban.value.casefold() or search in ban.reason.casefold())
            ),
        )
        return BanPage(items=tuple(page(found, asked)), total=len(found))

    async def ban(self, asked: NewBan) -> Banned:
        now = time.time()
        ban = Ban(
            kind=asked.kind,
            value=banned_value(asked.kind, asked.value),
            since=now,
            until=None if asked.seconds is None else now + asked.seconds,
            reason=asked.reason,
            by=asked.by,
        )
        self._core.bans.add(ban)
        self._note(ban.kind, ban.value, ban)
        count = await self.disconnect(ban) if asked.disconnect else 0
        if self._core.elsewhere is not None:
            await self._core.elsewhere.ban(ban, ends=asked.disconnect)
        await self._until_kept()
        return Banned(ban=ban, disconnected=count)

    async def unban(self, asked: BanName) -> Done:
        value = banned_value(asked.kind, asked.value)
        if self._core.bans.remove(asked.kind, value) is None:
            raise NotFoundError(f"The {asked.kind} {value!r} is not banned.")
        self._note(asked.kind, value, None)
        if self._core.elsewhere is not None:
            await self._core.elsewhere.unban(asked.kind, value)
        await self._until_kept()
        return Done()

    async def disconnect(self, ban: Ban) -> int:
        """End the connections for which a ban holds; how many."""
        only = Bans()
        only.add(ban)

        def is_banned(link: Link) -> bool:
            # Those too that are about to be let in, and were looked at before.
            return only.find(link.client_id, link.username, link.stream.peer) is not None

        found = await chosen(self._connections.all(), is_banned)
        for link in found:
            if self._connections.has(link):
                link.end(ReasonCode.ADMINISTRATIVE_ACTION, f"this {ban.kind} is banned")
        return len(found)

    def _note(self, kind: BanKind, value: str, ban: Ban | None) -> None:
        """Have it outlive the broker."""
        journal = self._core.journal
        if journal is not None and self._core.elsewhere is None:
            content = None if ban is None else ban.text.encode()
            until = None if ban is None else ban.until
            journal.note(f"ban/{kind}/{value}", content, until)

    async def _until_kept(self) -> None:
        journal = self._core.journal
        if journal is not None and self._core.elsewhere is None:
            await journal.until_kept()
        else:
            await trio.lowlevel.checkpoint()
