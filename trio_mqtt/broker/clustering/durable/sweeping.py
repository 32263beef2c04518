"""Sessions for which logs keep messages, and which do not have the filter: they are let go of.

A log holds a filter for a session once that is kept with it, and lets go of it once that is kept
without. So there are none, unless the engine has lost something of a session and nothing of the
log, as where one of several masters fails over to a replica that lags. What was kept for such a one
would wait until the bounds of the log are reached.
"""

from __future__ import annotations

import logging
from itertools import islice
from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.clustering.tracker import releasing_of
from trio_mqtt.cluster.engine.calls import (
    Call,
    EngineFencedError,
    EngineGoneError,
    EngineRefusedError,
    as_sentence,
    number_of,
)
from trio_mqtt.cluster.kept_session import subscription_field
from trio_mqtt.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trio_mqtt.broker.clustering.durable.registering import Registering
    from trio_mqtt.cluster.engine.engine import Engine

_EVERY = 3600.0  # seconds from one look of any node's to the next
_FILTERS = 32  # that are looked at beside each other
_PAUSE = 0.1  # seconds until the next ones are: 10 million take nine hours
_OLDEST = 16  # sessions of a filter that are looked at: those that hold back most

logger = logging.getLogger("trio_mqtt.cluster")

_KEPT_FOR_NOBODY = (
    "The log of %r kept messages for %r, which has no such filter. It keeps them no more."
)


class Sweeping:
    """Looks for them, once an hour by one of all nodes."""

    def __init__(self, engine: Engine, registering: Registering) -> None:
        self._engine = engine
        self._keys = engine.keys
        self._registering = registering

    async def run(self) -> None:
        """Do it, until cancelled."""
        while True:
            await trio.sleep(_EVERY)
            try:
                if await self._is_mine():
                    await self.sweep()
            except EngineGoneError:
                await self._engine.wait_returned()
            except EngineFencedError:
                pass  # it is no node now
            except (EngineRefusedError, StoreError) as error:
                logger.warning("What logs keep for nobody stays: %s", as_sentence(error))

    async def _is_mine(self) -> bool:
        """Whether no node has begun to look within the time."""
        key, most = self._keys.shared("swept"), int(_EVERY * 1000 * 0.9)
        return await self._engine.call("SET", key, b"", "NX", "PX", most) is not None

    async def sweep(self) -> None:
        """Look at all filters. Raises EngineGoneError and EngineRefusedError."""
        filters = iter(list(self._registering.numbers))
        while part := list(islice(filters, _FILTERS)):
            await self._look_at(part)
            await trio.sleep(_PAUSE)

    async def _look_at(self, filters: Sequence[str]) -> None:
        of_filter, most = self._keys.of_filter, _OLDEST - 1
        held = await self._engine.all(
            [Call("ZRANGE", of_filter(text, "holders"), 0, most) for text in filters]
        )
        pairs = [
            (text, str(key, "utf-8"))
            for text, keys in zip(filters, held, strict=True)
            if not isinstance(keys, EngineRefusedError)
            for key in keys or ()
        ]
        # First under which epoch the log holds it: who begins to have it later has a later one.
        since = await self._engine.all(
            [Call("HGET", of_filter(text, "epochs"), key) for text, key in pairs]
        )
        sessions = await self._engine.all(
            [
                Call(
                    "HMGET",
                    self._keys.of_client(key, "session"),
                    "epoch",
                    subscription_field(text, None)[0],
                    releasing_of(text),
                )
                for text, key in pairs
            ]
        )
        for (text, key), epoch, fields in zip(pairs, since, sessions, strict=True):
            if isinstance(epoch, EngineRefusedError) or isinstance(fields, EngineRefusedError):
                continue  # somebody has written there
            if any(one is not None for one in fields[1:]):
                continue
            # Where its node has it still under that epoch, it may be about to have the filter.
            if fields[0] is None or fields[0] != epoch:
                logger.warning(_KEPT_FOR_NOBODY, text, key)
                await self._registering.release(
                    text, {key: max(number_of(epoch or 0, "an epoch"), 1)}
                )
