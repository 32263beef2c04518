"""The files of a service, made from the templates beside this one."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files

USER = "tmqtt"
SERVICE = "tmqtt.service"
SOCKET = "tmqtt.socket"
# In the first lines of each file: what has it is ours to replace and to remove.
MARK = "`tmqtt service install` has made this file"
_PACKAGE = "tmqtt.service"
_FOR_ONE = re.compile(r"^@(system|user) ")
_NO_NAME = re.compile(r"[\"'\\\x00-\x1f\x7f]")
_PLAIN_WORD = re.compile(r"[\w@%+=:,./-]+", re.ASCII)


def service_unit(program: Sequence[str], *, for_user: bool) -> str:
    """The unit of the broker; `program` is what runs `tmqtt`, as words."""
    return _filled(SERVICE, for_user, {"PROGRAM": " ".join(map(_word, program))})


def socket_unit(addresses: Sequence[str], *, for_user: bool) -> str:
    """The unit of the sockets that systemd hands over, with what ListenStream= takes."""
    listen = "\n".join(f"ListenStream={_percent_kept(address)}" for address in addresses)
    return _filled(SOCKET, for_user, {"LISTEN": listen})


def account() -> str:
    """The broker's own user, as sysusers.d(5) has it."""
    return _filled("sysusers.conf", False, {})


def settings(configuration: str, data: str, *, for_user: bool) -> str:
    """The broker's configuration, before anybody has written one: all is kept in `data`."""
    # A path of TOML: JSON's strings are those of TOML.
    values = {"CONFIGURATION": configuration, "DATA": json.dumps(data, ensure_ascii=False)}
    return _filled("broker.toml", for_user, values)


def _filled(name: str, for_user: bool, values: Mapping[str, str]) -> str:
    """The template without the lines that are for the other kind of service, values put in."""
    kind = "user" if for_user else "system"
    lines = []
    for line in files(_PACKAGE).joinpath(name).read_text(encoding="utf-8").splitlines():
        found = _FOR_ONE.match(line)
        if found is None or found[1] == kind:
            lines.append(line[found.end() :] if found else line)
    text = "\n".join(lines)
    common = {"USER": USER, "SYSTEMCTL": "systemctl --user" if for_user else "sudo systemctl"}
    for mark, value in {**common, **values}.items():
        text = text.replace(f"@{mark}@", value)
    # What lines for the other kind leave behind.
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _word(text: str) -> str:
    """A program's name as systemd.service(5) reads it; ValueError for one that it cannot take."""
    if _NO_NAME.search(text):
        raise ValueError(f"systemd runs no program whose name has quotes or backslashes: {text!r}.")
    text = _percent_kept(text)
    return text if _PLAIN_WORD.fullmatch(text) else f'"{text}"'


def _percent_kept(text: str) -> str:
    return text.replace("%", "%%")
