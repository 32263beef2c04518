"""The entry point of `tmqtt` and of `python -m tmqtt`."""

from __future__ import annotations

import gc
import os
import signal


def main() -> None:
    """Run the command that the arguments ask for, and end the process with its exit code."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        # Until a command has something to end in order, Ctrl-C ends the process without a word.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    _occupy_standard_streams()
    # What is loaded stays, a tenth of this at most: looking for garbage meanwhile finds none.
    gc.set_threshold(500_000)
    from tmqtt.app import app

    try:
        app(prog_name="tmqtt")
    except SystemExit as ended:
        if not isinstance(ended.__context__, BrokenPipeError):
            raise
        # Help that nobody reads to its end: commands look after what they print themselves.
        from tmqtt.terminal.streams import STDOUT, write_no_more

        write_no_more(STDOUT)
        raise SystemExit(0) from None
    except BrokenPipeError:
        os._exit(2)  # it was to be said which option is wrong
    except OSError as error:
        # Commands say themselves what they cannot do: this is help that cannot be printed.
        from tmqtt.terminal.sentences import CommandError, tell

        reason = error.strerror or str(error)
        code = tell(CommandError(f"The output could not be written: {reason}."))
        os._exit(code)  # what stdout still holds cannot be written either
    finally:
        gc.freeze()  # the process ends: nobody needs to know what of all that was garbage


def _occupy_standard_streams() -> None:
    """Open the null device where stdin, stdout or stderr came closed.

    Else a socket would get the number, and what is printed would be sent to a peer.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one


if __name__ == "__main__":
    main()
