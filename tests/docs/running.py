"""Commands that pages show, run for real, with a broker of the tests' own."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import ExitStack, chdir, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from threading import Event, Thread
from typing import Any

from tests.cli.programs import DEADLINE, Program
from tests.docs.commands import Command
from trio_mqtt import sync

_URL = re.compile(r"(mqtts?|wss?|any|unix)://")
# Options that say which broker, and how it is reached, each with a value.
_WHERE = ("-b", "--broker", "--host", "-p", "--port", "--cafile", "--cert", "--key")
# Has a person type a password, for which the house does not ask.
_ASKS = ["-P", "-"]
# Options of a broker that say where it serves what.
_SERVES = ("-p", "--port", "--metrics", "--web")
# Where a broker of the system has its files, and the folder of a page has them.
_FOLDERS = (
    ("/var/lib/tmqtt", "kept"),
    ("/var/log/", ""),
    ("/etc/tmqtt/", ""),
    ("/etc/mosquitto/", ""),
)
_INTERRUPTED = (0, 130, -signal.SIGINT)
# What goes on until Ctrl-C, and what it shows once it is there.
_GOES_ON = {
    "broker": r"Listening at ",
    "explore": r".",
    "sub": r"Subscribed to",
    "top": r".",
    "trace": r"Waiting for",
}
_SCHEDULES = ("--every", "--rate", "--for", "--simulate")
_SCREENS = ("--watch", "--tree")
_BOUNDS = ("-C", "--retained-only", "--count", "-W")
# What is asked, and what a person types.
_ANSWERS = {"passwd": ("assword", "gain"), "delete": (r"\[y/N\]",)}
_TYPED = {"passwd": "secret\n", "delete": "y\n"}
# What another program's output is, where it goes into a command.
_PIPED = "one\ntwo\n"
_LAMP = "lamp-7"


@dataclass(frozen=True)
class House:
    """A broker that is watched and asked, and what its commands are to know of it."""

    url: str
    environment: dict[str, str]


@contextmanager
def open_house(folder: Path) -> Iterator[House]:
    """A broker that keeps all that pages speak of, and a lamp that answers."""
    data = folder / "data"
    settings = folder / "house.toml"
    settings.write_text(
        f'[storage]\npath = "{data}"\n[history]\nfilters = ["#"]\n[web]\nsocket = true\n'
    )
    configured = folder / "tmqtt"
    configured.mkdir()
    with Program("broker", "mqtt://127.0.0.1:0", "--config", str(settings)) as broker:
        url = broker.out.expect(r"Listening at (\S+)\n")[1]
        (configured / "config.toml").write_text(f'[home]\nbroker = "{url}"\n')
        with answering(url):
            yield House(
                url,
                {"TMQTT_BROKER": url, "TMQTT_API": str(data), "XDG_CONFIG_HOME": str(folder)},
            )


@contextmanager
def answering(url: str) -> Iterator[None]:
    """A lamp, connected, that answers what it is asked."""
    is_over = Event()
    with (
        sync.open_client(url, client_id=_LAMP) as client,
        client.subscribe("lamp/get", "echo", "home/lamp/#", qos=1) as requests,
    ):

        def answer() -> None:
            while not is_over.is_set():
                try:
                    message = requests.get(timeout=0.1)
                except TimeoutError:
                    continue
                if message.response_topic:
                    message.respond("on")

        thread = Thread(target=answer)
        thread.start()
        try:
            client.publish("home/lamp/state", "on", qos=1, retain=True)
            client.publish("sensors/kitchen", '{"temperature": 21.5, "t": 21.5}', qos=1)
            yield
        finally:
            is_over.set()
            thread.join(DEADLINE)


def move_away(command: Command, folder: Path) -> None:
    """What `mv` does with a file of a broker: it is there no more. It may not have been."""
    for word in command.words[1:-1]:
        (folder / _own_path(word)).unlink(missing_ok=True)


def _own_path(word: str) -> str:
    for theirs, ours in _FOLDERS:
        word = word.replace(theirs, ours)
    return word


def own_words(command: Command, house: House) -> list[str]:
    """The words of a command, with addresses and files of this machine's."""
    name, *rest = command.words[1:]
    found = [name]
    is_broker = name == "broker"
    while rest:
        word = _own_path(rest.pop(0))
        if is_broker and word in _SERVES:
            value = rest.pop(0)
            found += [word, "0" if value.isdigit() else "127.0.0.1:0"]
        elif not is_broker and (word in _WHERE or [word, *rest[:1]] == _ASKS):
            rest.pop(0)
        elif name == "request" and word == "-n":
            rest.pop(0)
            found += [word, "10"]
        elif _URL.match(word):
            found.append(_own_url(word) if is_broker else house.url)
        else:
            found.append(word)
    return found


def _own_url(url: str) -> str:
    """Where a broker is to listen in place of `url`: on this machine alone, at a free port."""
    scheme, _, rest = url.partition("://")
    address, _, asked = rest.partition("?")
    path = "/".join(address.split("/")[1:])
    return f"{scheme}://127.0.0.1:0" + (f"/{path}" if path else "") + (f"?{asked}" if asked else "")


def goes_on(words: list[str]) -> str | None:
    """What a command shows that goes on until Ctrl-C; None where it ends by itself."""
    name = words[0]
    if any(word in _BOUNDS for word in words) and "-C" not in words:
        return None
    if name == "sub" and any(word in _SCREENS for word in words):
        return r"."
    if name in _GOES_ON:
        return _GOES_ON[name]
    if name == "pub" and any(word in _SCHEDULES for word in words):
        return r"sent"
    return None


def run(command: Command, house: House, folder: Path) -> tuple[int, str]:
    """Run a command until it ends, or shows that it is there; its exit code, and what it showed."""
    words = own_words(command, house)
    pattern = goes_on(words)
    with ExitStack() as stack:
        stack.enter_context(chdir(folder))
        for option, name in pairwise(words):
            if option == "-o":  # what it writes is not there yet
                Path(name).unlink(missing_ok=True)
        given: dict[str, Any] = {"terminal": not (command.piped or command.source or command.into)}
        if command.piped:
            Path("piped").write_text(_PIPED)
        if source := "piped" if command.piped else command.source:
            given["stdin"] = stack.enter_context(open(source, "rb")).fileno()
        program = stack.enter_context(Program(*words, **given, environment=house.environment))
        for asked in next((_ANSWERS[word] for word in words if word in _ANSWERS), ()):
            program.out.expect(asked)
            program.type(next(_TYPED[word] for word in words if word in _TYPED))
        if pattern is not None:
            program.out.expect(pattern)
            code = program.stop(signal.SIGINT)
            return 0 if code in _INTERRUPTED else code, program.out.text
        code = program.ended()
        if command.into:
            Path(command.into).write_bytes(program.out.data)
        return code, program.err.text
