"""What a broker's API tells of its clients, asked for as long as they are shown."""

from __future__ import annotations

import math

import trio

from tmqtt.connecting.api import Api
from tmqtt.connecting.calls import ask, change
from tmqtt.explore.clients import ClientRows, Disconnection
from tmqtt.terminal.escaping import escape
from tmqtt.terminal.full_screen import FullScreen
from tmqtt.terminal.sentences import CommandError

_AGAIN = 2.0  # seconds until they are asked for again


class Watch:
    """Has the rows be as the broker is."""

    def __init__(self, api: Api, clients: ClientRows) -> None:
        self._api = api
        self._clients = clients
        self._asked: object = None
        self._wake = trio.Event()
        self._shown = False

    def pressed(self, *, shown: bool) -> None:
        """A key was typed: clients may be shown now, or others."""
        self._shown = shown
        if shown and self._clients.asked != self._asked:
            self._wake.set()

    async def run(self) -> None:
        """Ask, until cancelled."""
        while True:
            self._wake = trio.Event()
            if self._shown:
                await self._ask()
            else:
                self._asked = None
            with trio.move_on_after(_AGAIN if self._shown else math.inf):
                await self._wake.wait()

    async def _ask(self) -> None:
        self._asked = asked = self._clients.asked
        try:
            answer = await ask(self._api, "/clients", asked)
        except CommandError as error:
            self._clients.fail(error.sentences[0])
            return
        if asked == self._clients.asked:  # else somebody typed on
            self._clients.take(answer)

    async def disconnect(self, whom: Disconnection, screen: FullScreen) -> None:
        """Have a client disconnected, and say what became of it."""
        asked = {"client_id": whom.client_id, "mount_point": whom.mount_point}
        try:
            await change(self._api, "/client/disconnect", asked)
        except CommandError as error:
            screen.sentence = escape(error.sentences[0])
            return
        screen.sentence = f"{escape(whom.client_id)} is disconnected."
        self._wake.set()
