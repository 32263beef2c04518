"""A broker whose API is served on loopback, and whoever may ask there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

import trio_mqtt
from trio_mqtt import Broker, Security
from trio_mqtt.history import HistorySettings
from trio_mqtt.web import WebOptions, WebToken, serving_web
from trio_mqtt.web.description import description

# One for each role; who has none is nobody.
TOKENS = {role: f"token of who may {role:_<20}" for role in ("see", "operate", "administrate")}
PASSWORD = "correct horse"


class Rightly:
    """Passwords that take no time to check."""

    def verify(self, username: str, password: bytes | None) -> bool:
        return username in ("ada", "bob", "eve") and password == PASSWORD.encode()

    def entry(self, username: str) -> object | None:
        return username


OPTIONS = WebOptions(
    listen="127.0.0.1:0",
    roles={"ada": "administrate", "bob": "see"},
    tokens={role: WebToken(token=token, role=role) for role, token in TOKENS.items()},  # type: ignore[arg-type]
)


async def _is_described(response: httpx.Response) -> None:
    """Whatever a test is answered is an answer that the API's description has."""
    method = response.request.method.lower().replace("head", "get")
    path = response.request.url.path.removeprefix("/api/v1")
    entry = description()["paths"].get(path, {}).get(method)
    assert entry is None or str(response.status_code) in entry["responses"], (method, path)


class Served:
    """A broker, and where it is asked."""

    def __init__(self, broker: Broker, url: str, socket: Path) -> None:
        self.broker = broker
        self.url = url
        self.socket = socket

    def asking(self, role: str | None = "administrate") -> httpx.AsyncClient:
        """Who asks with a token of a role; with None nobody knows who."""
        headers = {} if role is None else {"Authorization": f"Bearer {TOKENS[role]}"}
        return httpx.AsyncClient(
            base_url=f"{self.url}/api/v1",
            headers=headers,
            timeout=60,
            trust_env=False,
            event_hooks={"response": [_is_described]},
        )

    def owning(self) -> httpx.AsyncClient:
        """The broker's own user, at its Unix socket."""
        way = httpx.AsyncHTTPTransport(uds=str(self.socket))
        return httpx.AsyncClient(transport=way, base_url="http://broker/api/v1", timeout=60)


@asynccontextmanager
async def served_with(
    options: WebOptions, folder: Path, security: Security | None = None
) -> AsyncIterator[Served]:
    socket = folder / "admin.sock"
    if security is None:
        # Whose roles let everybody do everything.
        dynamic = folder / "dynamic.json"
        dynamic.write_text('{"defaultACLAccess": {"publishClientSend": true, "subscribe": true}}')
        security = Security(passwords=Rightly(), allow_anonymous=True, dynamic=dynamic)
    history = HistorySettings(filters=["before/#"], path=folder / "history.sqlite3")
    async with (
        trio_mqtt.open_broker("mqtt://127.0.0.1:0", security=security, history=history) as broker,
        serving_web(broker, options, unix_socket=socket) as url,
    ):
        assert url is not None
        assert broker.history is not None
        await broker.publish("before/all", b"\x00")
        await broker.history.written()
        yield Served(broker, url, socket)


@pytest.fixture
async def served(short_path: Path) -> AsyncIterator[Served]:
    async with served_with(OPTIONS, short_path) as served:
        yield served


@pytest.fixture
def short_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose path is short enough for a socket."""
    return tmp_path_factory.mktemp("w")


Serve = Callable[..., Served]
