"""From which address commands connect."""

from __future__ import annotations

import re

import pytest

from tests.cli.programs import Program, Run

pytestmark = pytest.mark.slow


def test_the_broker_sees_a_client_come_from_there(
    in_pipe: tuple[Program, str], in_process: Run
) -> None:
    broker, url = in_pipe
    for number, option in enumerate(("-A", "--bind-address")):
        ended = in_process("pub", "t", "x", "-b", url, "-i", f"from-{number}", option, "127.0.0.9")
        assert (ended.code, ended.err) == (0, "")
        broker.out.expect(rf"from-{number} connected from 127\.0\.0\.9:\d+")


@pytest.mark.parametrize(
    ("url", "address", "code", "said"),
    [
        (
            "mqtt://127.0.0.1",
            "192.0.2.1",
            1,
            "from 192.0.2.1 .* Is that an address of this machine",
        ),
        ("mqtt://127.0.0.1", "::1", 1, "one of them is an address of IPv4"),
        ("mqtt://127.0.0.1", "a..b", 1, "'a..b', from where to connect to .* cannot be found"),
        ("unix:///run/x", "127.0.0.1", 2, "without an address to connect from"),
        ("mqtt://127.0.0.1", "", 2, "bind_address is empty"),
    ],
)
def test_what_cannot_be_bound_is_told_at_once(
    in_terminal: Run, url: str, address: str, code: int, said: str
) -> None:
    ended = in_terminal("sub", "t", "-b", url, "-A", address, "-W", "60s")
    assert ended.code == code
    assert "Waiting" not in ended.err
    assert "Traceback" not in ended.err
    assert re.search(said, ended.err.replace("\n", " "))
