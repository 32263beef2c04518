"""Headers of WebSocket's request, by the option, a variable or a profile."""

from __future__ import annotations

import pytest
from anyio.from_thread import start_blocking_portal
from tmqtt.connecting.settings import SettingError, connection_options

import trio_mqtt
from tests.cli.programs import Program, Run
from trio_mqtt.access import AccessHooks, Authenticated, ClientInfo, Upgrade


class Seen(AccessHooks):
    """Remembers by what requests clients came."""

    def __init__(self) -> None:
        self.upgrades: list[Upgrade | None] = []

    async def authenticate(self, client: ClientInfo, password: bytes | None) -> Authenticated:
        self.upgrades.append(client.upgrade)
        return Authenticated()


def test_headers_reach_the_broker() -> None:
    hooks = Seen()
    with (
        start_blocking_portal("trio") as portal,
        portal.wrap_async_context_manager(
            trio_mqtt.open_broker("ws://127.0.0.1:0", security=trio_mqtt.Security(hooks=hooks))
        ) as broker,
        Program(
            "pub", "t", "x", "-b", broker.url,
            "--ws-header", "Cookie: session=1", "--ws-headers", "X-Empty:",
        ) as pub,
    ):  # fmt: skip
        assert pub.ended() == 0
    (upgrade,) = hooks.upgrades
    assert upgrade is not None
    assert (upgrade.cookies, upgrade.header("x-empty")) == ({"session": "1"}, "")


def test_a_profile_and_a_variable_have_them_too() -> None:
    profile = {"broker": "wss://h", "ws-header": ["A: 1", "B: 2:3"]}
    options = connection_options("test", {}, [], {}, profile)
    assert options.websocket_headers == (("A", "1"), ("B", "2:3"))
    options = connection_options("test", {}, [], {"TMQTT_WS_HEADER": "C: 4"}, profile)
    assert options.websocket_headers == (("C", "4"),)


@pytest.mark.parametrize("header", ["nothing", ": x"])
def test_what_is_no_header_is_told_with_its_option(header: str) -> None:
    with pytest.raises(SettingError, match="write 'NAME: VALUE'") as refused:
        connection_options("test", {"broker": "ws://h", "ws-header": [header]}, [], {})
    assert refused.value.where == "'--ws-header'"


@pytest.mark.parametrize("command", [["pub", "t", "-m", "x"], ["sub", "t"], ["check"]])
@pytest.mark.parametrize(
    ("url", "header", "reason"),
    [
        ("ws://h", "two words: x", "cannot be a header of HTTP"),
        ("ws://h", "A: x\r\nB: y", "cannot be a header of HTTP"),
        ("ws://h", "Sec-WebSocket-Key: x", "is not for programs to set"),
        ("mqtt://h", "A: x", "is no WebSocket"),
    ],
)
def test_what_cannot_be_sent_is_a_sentence(
    in_process: Run, command: list[str], url: str, header: str, reason: str
) -> None:
    ended = in_process(*command, "-b", url, "--ws-header", header)
    assert ended.code == 2
    assert reason in ended.err
    assert "Traceback" not in ended.err
