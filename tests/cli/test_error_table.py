"""Whatever goes wrong, in whatever command: one sentence and a code, in a terminal as in a pipe."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme

from tests.cli.programs import Program, Run, broker_that_answers
from trio_mqtt.access import set_password

# CONNACK of MQTT 5 that allows packets of 64 bytes (MQTT 5.0 §3.2.2.3.6).
_SMALL_PACKETS = b"\x20\x08\x00\x00\x05\x27\x00\x00\x00\x40"

# Each way of connecting, by what it does: words of a command that are good but for the connection.
_COMMANDS = {
    "pub": ("pub", "free/a", "b", "-q", "1"),
    "pub on a schedule": ("pub", "free/a", "b", "-q", "1", "--every", "1s", "--no-wait"),
    "pub by lines": ("pub", "free/a", "-l", "--no-wait"),
    "sub": ("sub", "free/a", "--no-wait"),
    "sub --json": ("sub", "free/a", "--json", "--no-wait"),
    "sub --watch": ("sub", "free/a", "--watch", "--no-wait"),
    "sub --record": ("sub", "free/a", "--record", "{new}", "--no-wait"),
    "replay": ("replay", "{recording}", "--no-wait"),
    "request": ("request", "free/a"),
    "check": ("check",),
    "top": ("top",),
    "bench": ("bench", "pub", "--count", "1", "--processes", "1"),
}

# What may be wrong with the connection: options, the exit code, and what the sentence says.
_CONNECTIONS = {
    "no broker": ("-b {unused}", 1, r"(No broker|Nothing) answers at {unused} \(connection ref"),
    "an unknown host": ("-b mqtt://nosuch.invalid", 1, r"The host 'nosuch\.invalid' of .* cannot"),
    "no address": ("-b http://localhost", 1, "An address reads mqtt://HOST"),
    "half an address": ("-b mqtt://[::1", 1, "An address reads mqtt://HOST"),
    "a wrong password": ("-b {locked} -u ann -P wrong", 134, "bad user name or password"),
    "no password": ("-b {locked} -u ann", 134, r"password\. No password was given: -P - asks for"),
    "nobody": ("-b {locked}", 135, "No user name and no password were given: -u NAME "),
    "the same in MQTT 3": ("-b {locked} -u ann -P wrong -V mqttv311", 4, "bad user name or"),
    "another's certificate": ("-b {tls}", 1, r"{tls}: the broker's certificate .*--cafile"),
    "no TLS there": ("-b {plain_by_tls}", 1, "TLS"),
    "no authorities": ("-b {tls} --cafile {missing}", 1, "{missing}"),
    "no password file": ("-b {locked} --password-file {missing}", 2, "cannot be read: No such"),
    "no such version": ("-V 4", 2, "there is no MQTT '4' here"),
}
_BY_OTHER_WORDS = {
    # These are rows of what it shows.
    ("check", "another's certificate"), ("check", "no TLS there"),
    # It tries all versions, and tells of the latest.
    ("check", "the same in MQTT 3"),
}  # fmt: skip
# It starts processes to connect, which takes a second each time: a few stand for all.
_BY_PROCESSES = ("bench", ("no broker", "no address", "a wrong password", "another's certificate"))
# The broker takes a second to answer.
_ANSWERED_LATE = ("a wrong password", "no password", "the same in MQTT 3")

# What else may be wrong.
_OTHERS = [
    ("pub small -b {small} -q 1 --size 100", 1, "64"),
    ("pub small -b {small} --no-wait --every 1s --size 100", 1, "64"),
    ("pub a -b {unused} -f {missing}", 1, "cannot be read: No such file"),
    ("pub a -b {unused} --every 1s -f {missing}", 1, "cannot be read: No such file"),
    ("pub a -b {unused} -f {folder}", 1, "cannot be read: Is a directory"),
    ("pub a -b {unused} -f nowhere", 1, "The file 'nowhere' cannot be read: No such file"),
    ("pub a b -b {unused} --proxy socks5://", 1, "'socks5://' is no proxy: it names no host"),
    (
        "pub a b -b {unused} --payload-format protobuf --descriptors {missing}",
        2,
        "'--descriptors': {missing} cannot be read",
    ),
    ("pub a/# b", 1, "The topic 'a/#' holds a wildcard character"),
    ("pub a{random:1:x} b", 2, "--raw"),
    ("pub forbidden x -q 1 -b {locked} -u ann -P right", 135, "not authorized"),
    ("pub forbidden x -q 1 --count 2 -b {locked} -u ann -P right", 135, "not authorized"),
    ("pub a b -b {locked} --scram", 2, "SCRAM needs a user name and a password"),
    ("pub a b --will-topic a/+ -b {unused}", 1, r"The topic of the will 'a/\+' holds a wildcard"),
    ("sub a/#/b -b {unused}", 1, "The topic filter 'a/#/b' has '#' elsewhere"),
    ("sub forbidden -b {locked} -u ann -P right", 135, "not authorized"),
    ("sub forbidden --watch -b {locked} -u ann -P right", 135, "not authorized"),
    ("sub free/a -F %z -b {locked} -u ann -P right", 1, "a code that does not exist: '%z'"),
    ("sub a --record {recording} -b {unused}", 1, "exists already"),
    ("sub a --record {folder}/no/such -b {unused}", 1, "cannot be written: No such file"),
    ("replay {missing} -b {unused}", 1, "cannot be read: No such file"),
    ("replay {wrong} -b {unused}", 1, "Line 1 of .*wrong"),
    ("replay {forbidden} -b {locked} -u ann -P right", 135, "not authorized"),
    ("request forbidden x -b {locked} -u ann -P right", 135, "not authorized"),
    (
        "request free/a x -b {locked} -u ann -P right",
        16,
        "Nobody is there to answer requests on 'free/a'",
    ),
    ("request a/+ -b {unused}", 1, r"The topic 'a/\+' holds a wildcard character"),
    ("request a -f {missing} -b {unused}", 1, "cannot be read: No such file"),
    ("top -b {locked} -u ann -P right", 135, "not authorized"),
    ("broker {locked}", 1, "is in use"),
    ("broker http://localhost", 1, "An address reads mqtt://HOST"),
    ("broker 1884", 1, r"Did you mean mqtt://localhost:1884\?"),
    (
        "broker -p 70000",
        2,
        r"'-p' / '--port': 70000 is not possible: write a number from 0 to 65535",
    ),
    ("broker a.toml", 2, "A configuration file is given by --config a.toml"),
    ("broker mqtt://127.0.0.1:0 --password-file {missing}", 1, "{missing}"),
    ("broker mqtts://127.0.0.1:0 --cert {missing}", 1, "{missing}"),
    ("broker mqtt://0.0.0.0:0", 1, "--allow-anonymous"),
    ("passwd {missing} --list", 2, "{missing}"),
    ("acl check {missing} --topic a", 2, "{missing}"),
    ("acl show {missing}", 2, "{missing}"),
    ("store info {missing}", 1, "There is no {missing}"),
    ("store verify {missing}", 1, "There is no {missing}"),
    ("store export {missing}", 1, "There is no {missing}"),
    ("store import {folder}/new {missing}", 1, "{missing}: No such file"),
]


class Places(NamedTuple):
    """Where things are that commands are told of."""

    names: Mapping[str, str]

    def fill(self, words: str, *, escaped: bool = False) -> str:
        for name, place in self.names.items():
            words = words.replace(f"{{{name}}}", re.escape(place) if escaped else place)
        return words


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    """Brokers and files, and none."""
    folder = tmp_path_factory.mktemp("errors")
    passwords, rules = folder / "passwords", folder / "rules"
    set_password(passwords, "ann", b"right", create=True)
    rules.write_text("user ann\ntopic readwrite free/#\ntopic read response/#\n")
    rules.chmod(0o600)
    pem = folder / "server.pem"
    leaf = trustme.CA().issue_cert("127.0.0.1")
    leaf.private_key_and_cert_chain_pem.write_to_path(str(pem))
    record = {"time": "2026-11-24T17:00:00.000000Z", "qos": 1, "retain": False, "payload": ""}
    for name, topic in (("recording", "free/a"), ("forbidden", "forbidden"), ("wrong", "a/+")):
        (folder / name).write_text(json.dumps(record | {"topic": topic}) + "\n")
    listeners = ("mqtt://127.0.0.1:0", f"mqtts://127.0.0.1:0?cert={pem}")
    with (
        Program(
            "broker", *listeners, "--password-file", str(passwords), "--access-file", str(rules)
        ) as broker,
        socket.socket() as bound,
        broker_that_answers(*[_SMALL_PACKETS] * 4) as small,
    ):
        bound.bind(("127.0.0.1", 0))
        tls = broker.out.expect(r"Listening at (mqtts://\S+)\n")[1]
        locked = broker.out.expect(r"Listening at (mqtt://\S+)\n")[1]
        yield Places(
            {
                "unused": f"mqtt://127.0.0.1:{bound.getsockname()[1]}",
                "locked": locked,
                "tls": tls,
                "plain_by_tls": locked.replace("mqtt:", "mqtts:"),
                "small": small,
                "folder": str(folder),
                "missing": str(folder / "missing"),
                "new": str(folder / "new"),
                "recording": str(folder / "recording"),
                "forbidden": str(folder / "forbidden"),
                "wrong": str(folder / "wrong"),
            }
        )
        assert broker.stop() == 0


@pytest.fixture(params=["pipe", "terminal"])
def run(request: pytest.FixtureRequest) -> Run:
    found: Run = request.getfixturevalue("in_process" if request.param == "pipe" else "in_terminal")
    return found


def check(run: Run, places: Places, words: list[str], code: int, sentence: str) -> None:
    Path(places.names["new"]).unlink(missing_ok=True)
    ended = run(*(places.fill(word) for word in words))
    said = ended.err.replace("\r", "")
    assert "Traceback" not in said
    assert ended.code == code, said
    *_before, last = said.rstrip("\n").split("\n")
    assert said.count("Error: ") == 1, said
    told = last[last.index("Error: ") :]  # in a terminal, it may take the place of a drawn line
    assert re.search(places.fill(sentence, escaped=True), told), told
    assert re.fullmatch(r"Error: [^a-z].*[.?!]", told), told


def _pairs() -> Iterator[object]:
    for command in _COMMANDS:
        for problem in _CONNECTIONS:
            if (command, problem) in _BY_OTHER_WORDS:
                continue
            if command == _BY_PROCESSES[0] and problem not in _BY_PROCESSES[1]:
                continue
            slow = command == _BY_PROCESSES[0] or problem in _ANSWERED_LATE
            marks = [pytest.mark.slow] * slow
            yield pytest.param(command, problem, id=f"{command}, {problem}", marks=marks)


@pytest.mark.parametrize(("command", "problem"), [*_pairs()])
def test_a_connection_that_cannot_be(run: Run, places: Places, command: str, problem: str) -> None:
    options, code, sentence = _CONNECTIONS[problem]
    check(run, places, [*_COMMANDS[command], *options.split()], code, sentence)


@pytest.mark.parametrize(("words", "code", "sentence"), _OTHERS)
def test_what_cannot_be(run: Run, places: Places, words: str, code: int, sentence: str) -> None:
    check(run, places, words.split(), code, sentence)


@pytest.mark.slow
@pytest.mark.parametrize("problem", ["no broker", "a wrong password", "an unknown host"])
def test_a_process_in_a_terminal(places: Places, problem: str) -> None:
    options, code, sentence = _CONNECTIONS[problem]
    words = [*_COMMANDS["pub"], *options.split()]
    with Program(*map(places.fill, words), terminal=True) as pub:
        assert pub.ended() == code
        found = re.fullmatch(r"Error: .+\.\n", pub.out.text)
    assert found
    assert re.search(places.fill(sentence, escaped=True), found[0])
