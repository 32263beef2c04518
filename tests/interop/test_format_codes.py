"""`tmqtt sub -F` and mosquitto_sub, side by side, print the same bytes for the same messages."""

from __future__ import annotations

import re
import shutil
import subprocess
from contextlib import ExitStack

import pytest

from tests.cli.programs import Program, running_broker

FORMATS = [
    "%t|%p|%x|%X|%l|%m|%q|%r|%%",
    "%10t|%-10t|%010t|%5.3t|%.3t|%-5.3t|%-05t|%5.t|",
    "%10p|%-10p|%3p|%.3p|%010p|%10.3p|%-010p|",
    # Not %.4x, which groups the digits since 2.1: tests/cli/messages/test_formats.py has it.
    "%20x|%-20x|%4x|%020X|%-020x|%3x|",
    "%5l|%-5l|%05l|%-05l|%5m|%05m|%-5m|",
    "%5q|%05q|%-5q|%5r|%.1q|%5%|",
    "%A|%C|%D|%E|%F|%P|%R|%S",
    "%5A|%20C|%-20C|%.4C|%12.4C|%020C|%5E|%05E|%-5E|%5F|%05F|%-5F|%20R|%.2R|%5S|%05S|%-5S|",
    "%20D|%20P|%.1D|%05A|",
    "a\\nb\\tc\\0d\\\\e\\a\\e\\r\\v",
    "@@|@Y|@%|@n|@t|@m|@d",
    "%j",
    "%J",
    "%2j|%J|%t",
    "",
]
MESSAGES = [
    (b"hello", ()),
    (b"\xff\xfebin\x01", ()),
    (b'{"a": 1.50, "b":[1,2,{"c":null}], "d":"\\u00e9/", "a": 12345678901234567890}', ()),
    (b"42", ()),
    (b'"x\\n\x7f"', ()),
    (b'[[],{},[{"a":{}},{"b":[1,{"c":[]}]}]]', ()),
    (b"[1e400,-0.0,1E-7,0.1,3.0000000000000004,100000000000,true,false]", ()),
    (
        "grün".encode(),
        (
            *("-D", "publish", "user-property", "a", "1"),
            *("-D", "publish", "content-type", "text/plain"),
            *("-D", "publish", "user-property", "a", "2"),
            *("-D", "publish", "correlation-data", "c0rr"),
            *("-D", "publish", "message-expiry-interval", "100"),
            *("-D", "publish", "payload-format-indicator", "1"),
            *("-D", "publish", "response-topic", "resp/t"),
        ),
    ),
]
# The two do not receive a message in the same microsecond.
_STAMP = re.compile(rb'"tst":\t?"[^"]*"')


def found(name: str) -> str:
    path = shutil.which(name)
    assert path, f"{name} is not installed: apt-get install mosquitto-clients."
    return path


@pytest.mark.parametrize(
    ("text", "options"),
    [*((text, ()) for text in FORMATS), ("%j", ("--pretty",)), ("%J", ("--pretty",))],
)
def test_the_same_bytes(text: str, options: tuple[str, ...]) -> None:
    with running_broker() as (broker, url), ExitStack() as stack:
        port = url.rpartition(":")[2]
        count = str(len(MESSAGES))
        theirs = subprocess.Popen(
            [
                *(found("mosquitto_sub"), "-p", port, "-V", "mqttv5", "-t", "f/#", "-q", "1"),
                *("-C", count, "-F", text, "-D", "subscribe", "subscription-identifier", "7"),
                *options,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        stack.callback(theirs.wait)
        stack.callback(theirs.kill)
        ours = stack.enter_context(
            Program("sub", "f/#", "-q", "1", "-C", count, "-F", text, "--identifier", "7",
                    "-b", url, *options)
        )  # fmt: skip
        broker.out.expect("subscribed to f/", times=2)
        for payload, properties in MESSAGES:
            subprocess.run(
                [
                    *(found("mosquitto_pub"), "-p", port, "-V", "mqttv5", "-t", "f/tö"),
                    *("-q", "1", "-s", *properties),
                ],
                input=payload,
                check=True,
                timeout=60,
            )
        shown, _ = theirs.communicate(timeout=60)
        assert ours.ended() == 0
        assert _STAMP.sub(b"", ours.out.data) == _STAMP.sub(b"", shown)
