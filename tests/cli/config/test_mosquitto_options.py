"""`tmqtt config import` knows each option of mosquitto.conf(5): none is passed over in silence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tmqtt.config.mosquitto.importing import import_file

from tests.cli.config.mosquitto_options import BRIDGES, GENERAL, LISTENERS, NAMES, TLS

LISTENER = "listener 1883 127.0.0.1\n"
WITH_TLS = LISTENER + "certfile /c.pem\nkeyfile /k.pem\ncafile /ca.pem\n"
# What stands around the options of a section; where one needs something else, around that.
AROUND = {
    GENERAL: LISTENER + "{option}",
    LISTENERS: LISTENER + "{option}",
    TLS: WITH_TLS + "require_certificate true\n{option}",
    BRIDGES: LISTENER + "connection cloud\n{option}",
}
AROUND_ONE = {
    "per_listener_settings": "{option}" + LISTENER + "allow_anonymous true\n",
    "persistence_location": LISTENER + "persistence true\n{option}",
    "require_certificate": WITH_TLS + "{option}",
    "socket_domain": "listener 1883\n{option}",
}


def options() -> Iterator[tuple[str, str]]:
    for section, around in AROUND.items():
        for line in section.split("\n"):
            if line:
                yield line, AROUND_ONE.get(line.split()[0], around)


def imported(folder: Path, text: str) -> str:
    """What is made of it, and told, whatever the lines are."""
    file = folder / "m.conf"
    file.write_text(text)
    return re.sub(r"line \d+", "", import_file(file).text())


@pytest.mark.parametrize(("line", "around"), [*options()])
def test_each_option_is_taken_over_or_told(line: str, around: str, tmp_path: Path) -> None:
    included = tmp_path / "conf.d"
    included.mkdir()
    (included / "a.conf").write_text("max_queued_messages 7\n")
    without = imported(tmp_path, around.format(option=""))
    option = f"{line.format(folder=included)}\n"
    assert imported(tmp_path, around.format(option=option)) != without


def test_no_option_stands_there_twice() -> None:
    assert len(NAMES) == len(set(NAMES)) > 140
