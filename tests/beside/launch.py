"""`tmqtt`, with all that is wrong written to a file.

    launch.py [--errors FILE] [--defect NAME] ARGUMENT …

`--errors` has each record of the library's log from ERROR on with its traceback, where the
command's own log has a sentence, and in a storm a count. A defect is one of `tests/fuzz/defects.py`
that whoever watches has to find.
"""

from __future__ import annotations

import argparse
import logging
import resource
import sys

from tmqtt.__main__ import main


def log_errors(path: str) -> None:
    handler = logging.FileHandler(path)
    handler.setLevel(logging.ERROR)
    logging.getLogger("trio_mqtt").addHandler(handler)


def launch() -> None:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--errors")
    parser.add_argument("--defect")
    known, arguments = parser.parse_known_args()
    if known.errors is not None:
        log_errors(known.errors)
    if known.defect is not None:
        from tests.fuzz.defects import DEFECTS

        DEFECTS[known.defect]()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # for thousands of clients
    sys.argv = ["tmqtt", *arguments]
    main()


if __name__ == "__main__":
    launch()
