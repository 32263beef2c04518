"""`tmqtt broker -p PORT`: the port of the one listener that there is."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tmqtt.broker.listening import ListenAt

from tests.cli.programs import Program
from trio_mqtt import Listen, sync
from trio_mqtt.configuration import InvalidConfiguration


@pytest.fixture
def ports() -> Iterator[list[int]]:
    """Two that nobody else is given."""
    with socket.socket() as first, socket.socket() as second:
        for sock in (first, second):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("127.0.0.1", 0))
        yield [sock.getsockname()[1] for sock in (first, second)]


@pytest.mark.slow
def test_it_listens_there(ports: list[int], tmp_path: Path) -> None:
    file = tmp_path / "broker.toml"
    file.write_text('[[listeners]]\nurl = "mqtt://127.0.0.1:1"\n', encoding="utf-8")
    given = [word for port in (*ports, ports[0]) for word in ("-p", str(port))]
    for more in ((), ("--config", str(file)), ("mqtt://127.0.0.1",)):
        with Program("broker", *given, *more) as broker:
            for number, port in enumerate(ports, 1):
                found = broker.out.expect(r"Listening at mqtt://127\.0\.0\.1:(\d+)", times=number)
                assert int(found[1]) == port
                with sync.open_client(f"mqtt://127.0.0.1:{port}"):
                    pass
            assert broker.stop() == 0


@pytest.mark.parametrize(
    ("urls", "configured", "listeners"),
    [
        ([], [], ["mqtt://127.0.0.1:1884"]),
        (["mqtt://0.0.0.0"], [], ["mqtt://0.0.0.0:1884"]),
        (["mqtt://[::1]?proxy=::1"], [], ["mqtt://[::1]:1884"]),
        (["ws://localhost/*"], [], ["ws://localhost:1884/*"]),
        ([], ["mqtt://10.0.0.1:9"], ["mqtt://10.0.0.1:1884"]),
        ([], ["mqtt://[::]"], ["mqtt://[::]:1884"]),
        (["any://localhost"], ["mqtt://10.0.0.1", "mqtt://10.0.0.2"], ["any://localhost:1884"]),
    ],
)
def test_it_goes_into_the_address(
    urls: list[str], configured: list[str], listeners: list[str]
) -> None:
    found = ListenAt(urls=urls, ports=[1884], defaults={})([Listen(url) for url in configured])
    assert [listen.url for listen in found] == listeners


@pytest.mark.parametrize(
    ("urls", "configured", "sentence"),
    [
        (["mqtt://localhost:1883"], [], "mqtt://localhost:1883 has a port already"),
        (["mqtt://a", "mqtt://b"], [], "--port is for one listener: write mqtt://HOST:PORT"),
        ([], ["mqtt://a", "mqtt://b"], "--port is for one listener, and the configuration has 2"),
        (["unix:///run/s"], [], "--port has no meaning for unix:///run/s"),
        ([], ["unix:///run/s"], "--port has no meaning for unix:///run/s"),
    ],
)
def test_whose_port_it_would_be_is_clear_or_asked(
    urls: list[str], configured: list[str], sentence: str
) -> None:
    listen_at = ListenAt(urls=urls, ports=[1884], defaults={})
    with pytest.raises(InvalidConfiguration, match=re.escape(sentence)):
        listen_at([Listen(url) for url in configured])
