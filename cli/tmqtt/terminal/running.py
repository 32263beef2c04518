"""Running a command: signals, errors as sentences, exit codes."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import FrameType
from typing import NoReturn, cast

import trio

import trio_mqtt
from tmqtt.terminal.error_groups import first_of
from tmqtt.terminal.output import open_outputs
from tmqtt.terminal.sentences import CommandError, tell
from tmqtt.terminal.streams import STDERR, STDOUT
from tmqtt.terminal.terminal import HANGUP, Terminal


def collect_less_often() -> None:
    """Keep the garbage collector off the path of the messages.

    Neither messages nor clients that go leave cycles behind, so that all it finds is what others
    left in small: it looks through what is new. With 4,000 clients connected and others coming and
    going, two cores busy, its usual thresholds made 7 looks at everything, of up to 464 ms, and
    found nothing; 50,000 new objects before a look made looks of up to 48 ms. These make one of
    0.5 ms for 2,500 new objects, and of up to 4.5 ms for three times as many, while 10,000 clients
    come; looks at 5,000 and at 30,000 took up to 16 ms, and no less in sum. All is looked at after
    30 million new objects. The process is the command's own, so this is its own to decide.
    """
    gc.freeze()
    gc.set_threshold(2_500, 2, 4_000)


def run(command: Callable[[Terminal], Awaitable[None]], *, stopped: int | None = None) -> NoReturn:
    """Run a command and end the process with its exit code.

    Ctrl-C and SIGTERM cancel the command, which then ends in order; a second one ends the process
    at once. The exit code is 0; 1 for an error, or what a CommandError says; after a signal
    `stopped`, or else 128 and the signal's number, as shells have it.
    """
    gc.freeze()  # what is loaded by now stays
    gc.set_threshold(50_000)
    # Who wants the library's log gets it from the command, in sentences.
    logging.getLogger("trio_mqtt").addHandler(logging.NullHandler())
    try:
        code = trio.run(_run, command, stopped)
    except (trio_mqtt.MqttError, CommandError) as error:
        code = tell(error)
    sys.exit(code)


async def _run(command: Callable[[Terminal], Awaitable[None]], stopped: int | None) -> int:
    scope = trio.CancelScope()
    failure: trio_mqtt.MqttError | CommandError | None = None
    async with open_outputs(STDOUT, STDERR, scope.cancel) as (output, messages):
        terminal = Terminal(output, messages, scope)
        _handle_signals(terminal)
        try:
            with scope:
                await command(terminal)
        except* (trio_mqtt.MqttError, CommandError) as group:
            # Nurseries wrap what is raised in them in groups: of the command's, of its views', and,
            # if it were raised here, of the streams'.
            failure = cast(trio_mqtt.MqttError | CommandError, first_of(group))
    if failure is not None:
        raise failure
    if output.error is not None:
        reason = output.error.strerror or str(output.error)
        raise CommandError(f"The output could not be written: {reason}.")
    if output.closed or terminal.signal is None:
        return 0
    return 128 + terminal.signal if stopped is None else stopped


def _has_terminal() -> bool:
    """Whether there is a terminal from which this process can be told to stop."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | getattr(os, "O_NOCTTY", 0)))
    except OSError:
        return False
    return True


def _handle_signals(terminal: Terminal) -> None:
    token = trio.lowlevel.current_trio_token()
    had_terminal = _has_terminal()

    def have_done(what: Callable[[], object]) -> None:
        with suppress(trio.RunFinishedError):  # the command has just ended by itself
            token.run_sync_soon(what)

    def stop(number: int, _frame: FrameType | None) -> None:
        reload = terminal.reload if number == HANGUP else None
        if reload is not None and had_terminal == _has_terminal():
            have_done(reload)
            return
        if terminal.signal is not None:
            if terminal.restore is not None:
                terminal.restore()
            os._exit(128 + number)  # asked twice: whatever is still in the way no longer counts
        terminal.signal = number
        have_done(terminal.scope.cancel)

    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        # What was started to ignore a signal (nohup, a shell's background job) goes on doing so.
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, stop)
