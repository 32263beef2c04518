"""A broker that is asked by commands, and the commands that ask it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.programs import Program, Run

TOKEN = "a token that nobody guesses"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("c")


@pytest.fixture(scope="module")
def running(folder: Path) -> Iterator[tuple[str, str]]:
    """Where a broker is asked, and its address; a client "lamp" has subscribed to a/#."""
    file = folder / "broker.toml"
    file.write_text(
        f'[storage]\npath = "{folder}"\n[web]\nlisten = "127.0.0.1:0"\n'
        f'[web.tokens.test]\ntoken = "{TOKEN}"\nrole = "see"\n',
        encoding="utf-8",
    )
    with Program("broker", "mqtt://127.0.0.1:0", "--config", str(file)) as broker:
        url = broker.out.expect(r"Listening at (\S+)\n")[1]
        api = broker.out.expect(r"with the API at (\S+)/api/v1\.\n")[1]
        with Program("sub", "a/#", "-b", url, "-i", "lamp"):
            broker.out.expect("lamp subscribed to a/#")
            yield api, url
        assert broker.stop() == 0


@pytest.fixture
def ask(
    running: tuple[str, str], folder: Path, in_process: Run, monkeypatch: pytest.MonkeyPatch
) -> Run:
    monkeypatch.setenv("TMQTT_API", str(folder))
    return in_process
