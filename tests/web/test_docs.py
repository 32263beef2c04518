"""What the page about HTTP shows is what happens."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from trio_mqtt.configuration import InvalidConfiguration, load

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "web.md").read_text(encoding="utf-8")


def test_its_configuration_is_one(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE, re.S)
    path = tmp_path / "broker.toml"
    path.write_text(example.replace("5f1c…", "5f1c" * 8), encoding="utf-8")
    web = load(path).settings.web
    assert web.roles == {"ada": "administrate", "bob": "see"}
    assert web.tokens["dashboard"].role == "see"


async def test_a_configuration_serves_it(tmp_path: Path) -> None:
    path = tmp_path / "b.toml"
    listeners = '[[listeners]]\nurl = "mqtt://127.0.0.1:0"'
    text = f'{listeners}\n[web]\nsocket = true\n[storage]\npath = "{tmp_path}"'
    path.write_text(text, encoding="utf-8")
    async with load(path).run() as running:
        assert running.web_url is None
        assert (tmp_path / "admin.sock").is_socket()
    assert not (tmp_path / "admin.sock").exists()


async def test_a_socket_takes_a_folder(tmp_path: Path) -> None:
    path = tmp_path / "b.toml"
    path.write_text("[web]\nsocket = true\n", encoding="utf-8")
    with pytest.raises(InvalidConfiguration, match="--data DIR"):
        async with load(path).run():
            pass
