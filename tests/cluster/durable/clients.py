"""Clients whose sessions outlive their connections."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from trio_mqtt import Client, open_client


@asynccontextmanager
async def durable_client(url: str, client_id: str) -> AsyncIterator[Client]:
    """A client with a session of ten minutes."""
    async with open_client(
        url, client_id=client_id, clean_start=False, session_expiry_interval=600
    ) as client:
        yield client
