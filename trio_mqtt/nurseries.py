"""Nurseries for what runs beside the code of a caller, who is to see nothing of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio


@asynccontextmanager
async def tasks_beside() -> AsyncIterator[trio.Nursery]:
    """A nursery whose tasks are cancelled at the end of the context.

    What its body raises reaches the caller as it is, unless tasks have raised something as well.
    """
    raised: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            try:
                yield nursery
            except BaseException as error:
                raised = error
                raise
            finally:
                nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        if raised is not None and group.exceptions == (raised,):
            raise raised from raised.__cause__
        raise
