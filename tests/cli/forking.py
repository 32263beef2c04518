"""The program that `tests.cli.starting` starts: it loads what `tmqtt` loads, and forks when asked.

From then on a fork does what `python -m tmqtt` does once it has loaded as much.
"""

from __future__ import annotations

import fcntl
import gc
import os
import pickle
import signal
import socket
import sys
import termios
import time
from contextlib import suppress
from importlib import import_module
from io import TextIOWrapper
from pkgutil import walk_packages
from struct import Struct
from typing import NamedTuple

import tmqtt
from tmqtt.__main__ import main
from tmqtt.app import NAMES, command_of
from tmqtt.broker import traffic

import trio_mqtt

# A fresh process takes these as its parent does, which may change from test to test.
INHERITED_SIGNALS = (signal.SIGINT, signal.SIGHUP)
# What needs packages that few tests of the command need, and that may be missing.
_NOT_LOADED = (
    "tmqtt.messages.cbor", "tmqtt.messages.message_pack", "tmqtt.messages.protobuf",
    "trio_mqtt.cluster", "trio_mqtt.pytest_plugin", "trio_mqtt.testing", "trio_mqtt.web",
)  # fmt: skip
# How many lines of its clients' events a broker may show in a second. Where tests look at these to
# know what has happened, none is to be left out: commands that are forked come 30 in a second.
EVENTS_SHOWN = "TESTS_EVENTS_A_SECOND"
NUMBER = Struct("q")  # of a process, or how it has ended


class Asked(NamedTuple):
    """What a fork is to become."""

    arguments: tuple[bytes, ...]
    environment: dict[bytes, bytes]
    folder: bytes
    ignored_signals: tuple[signal.Signals, ...]
    has_stdout: bool
    is_terminal: bool  # stdout is one, and is to control the process


def load() -> None:
    """Import what commands import sooner or later, and read settings once."""
    for package in (tmqtt, trio_mqtt):
        for module in walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.startswith(_NOT_LOADED) and not module.name.endswith("__main__"):
                import_module(module.name)
    for name in NAMES:
        command_of(name)
    import_module("anyio._backends._trio")
    import_module("encodings.idna")
    trio_mqtt.configuration.load(environment={"TMQTT_LIMITS__MAXIMUM_CONNECTIONS": "10"})


def fork_when_asked(asking: socket.socket) -> Asked | None:
    """Return in each fork, and once nobody is left who asks."""
    while True:
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:  # those that told
                pass
        _, descriptors, _, _ = socket.recv_fds(asking, 1, 5)
        if not descriptors:
            asking.close()
            return None
        request, *streams, telling = descriptors
        if os.fork():
            for descriptor in descriptors:
                os.close(descriptor)
            continue
        asking.close()
        with open(request, "rb") as file:
            asked = Asked(*pickle.load(file))  # noqa: S301 # the tests wrote it
        _fork_and_tell(streams, telling)
        _take_streams(streams, asked)
        return asked


def _fork_and_tell(streams: list[int], telling: int) -> None:
    """Return in a child, and tell its number and how it has ended."""
    child = os.fork()
    if not child:
        os.close(telling)
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for descriptor in streams:
        os.close(descriptor)
    with suppress(BrokenPipeError):
        os.write(telling, NUMBER.pack(child))
        os.write(telling, NUMBER.pack(os.waitpid(child, 0)[1]))
    os._exit(0)


def _take_streams(streams: list[int], asked: Asked) -> None:
    if asked.is_terminal:
        os.setsid()
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
        os.close(descriptor)
    if asked.is_terminal:
        fcntl.ioctl(1, termios.TIOCSCTTY, 0)
    if not asked.has_stdout:
        os.close(1)


def become(asked: Asked) -> None:
    """Make this process what a fresh one is."""
    for number in asked.ignored_signals:
        signal.signal(number, signal.SIG_IGN)
    os.chdir(asked.folder)
    os.environb.clear()
    os.environb.update(asked.environment)
    time.tzset()
    if shown := os.environ.pop(EVENTS_SHOWN, ""):
        traffic.EVENTS_A_SECOND = int(shown)
    if not sys.flags.safe_path:
        sys.path[0] = os.getcwd()
    sys.argv[1:] = map(os.fsdecode, asked.arguments)
    sys.stdin = sys.__stdin__ = _text(0, "rb", sys.stdin)  # type: ignore[misc] # as it begins
    sys.stdout = sys.__stdout__ = _text(1, "wb", sys.stdout)  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = _text(2, "wb", sys.stderr)  # type: ignore[misc]


def _text(number: int, mode: str, like: object) -> TextIOWrapper | None:
    """What Python makes of a descriptor at its start; nothing where it is closed."""
    assert isinstance(like, TextIOWrapper)
    try:
        binary = open(number, mode, closefd=False)  # noqa: SIM115 # it stays
    except OSError:
        return None
    is_by_line = number == 2 or binary.isatty()
    return TextIOWrapper(binary, like.encoding, like.errors, "\n", line_buffering=is_by_line)


def _main() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    load()
    # In a circle that nobody looks for: a fork that ends leaves the modules alone, which all share.
    kept: list[object] = [dict(vars(module)) for module in sys.modules.values()]
    kept.append(kept)
    gc.collect()
    gc.freeze()
    try:
        asked = fork_when_asked(socket.socket(fileno=int(sys.argv[1])))
    except KeyboardInterrupt:
        return  # so have the tests
    if asked is not None:
        become(asked)
        main()


if __name__ == "__main__":
    _main()
