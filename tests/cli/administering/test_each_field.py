"""Whatever an operation can be asked with, its command can be told."""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import NamedTuple, get_args, get_type_hints
from urllib.parse import parse_qsl, urlsplit

import pytest
from tmqtt.clients.options import ORDERS
from tmqtt.history.options import REASONS

from tests.cli.programs import Run
from trio_mqtt.administration import OPERATIONS, ClientQuery, Operation, RemovalQuery
from trio_mqtt.web.json_forms import of_body, of_query

# With everything that there is, and otherwise than by default.
COMMANDS = {
    "overview": "overview",
    "series": "overview --hour",
    "clients": "clients c --away --slow --user u --address 192.0.2.1 --listener mqtt://:1883"
    " --sort since --reverse --rates 1s --limit 5",
    "client": "client c --mount-point m/",
    "queue": "sessions queue c --mount-point m/ --limit 5",
    "subscriptions": "subscriptions list x --client c --mount-point m/ --topic a/x --filter a/#"
    " --unshared --limit 5",
    "retained": "retained list a/# --search x --author c --older-than 1h --orphaned gone --limit 5"
    " --sort size --reverse",
    "retained_message": "retained show a/b",
    "topics": "retained tree a --search x --limit 5",
    "history": "history a/# max --since 2h --until 1h --every 1m --path .t",
    "removals": "history --removals --reason age",
    "bans": "ban --list --user x",
    "who": "who a/b --from c -q 1 --limit 5",
    "may": "may c publish a/b --user u --listener mqtt://:1883 --mount-point m/",
    "trace": "trace c --mount-point m/ --payload 1KB",
    "events": "events ClientConnected",
    "disconnect": "disconnect c --reason r --code 0x9D --to other:1883 --mount-point m/",
    "end_session": "sessions end c --mount-point m/",
    "publish": "send a/b on -q 1 --retain --for 60s --content-type text/plain --user-property n=v",
    "send_to_client": "send a/b on --to c --mount-point m/ -q 1 --retain --for 60s --content-type"
    " text/plain --user-property n=v",
    "delete_retained": "retained delete a/b --search x --author c --older-than 1h --orphaned gone",
    "delete_history": "history a/b --remove --until 1h",
    "ban": "ban --client c --for 60s --reason r --keep-connected",
    "unban": "ban --address 192.0.2.0/24 --lift",
    "give_subscription": "subscriptions give c a/# -q 1 --no-local --retain-as-published"
    " --no-retained --mount-point m/",
    "take_subscription": "subscriptions take c a/# --mount-point m/",
    "dynamic_security": "dynsec createRole rolename=r",
}
# What no option is for: by the operation that has it, or of all.
LEFT_OUT = {
    "": {"offset", "after", "maximum_bytes"},  # commands put pages together
    "series": {"since"},  # it shows an hour
    "history": {"limit", "last"},  # of a page; and what goes without --every
    "removals": {"limit"},
    "bans": {"limit"},
    "trace": {"limit", "topic_filter"},  # what may wait; and it is of a client, or of topics
    "events": {"limit"},
    "publish": {"text"},  # a payload is it, too
    "send_to_client": {"text"},
    "ban": {"by"},  # the API knows
}


# What is told of a client, before the broker ends.
STREAM = (
    b'event: trace\ndata: {"at": 0, "client_id": "ends", "direction": "in", "kind": "PINGREQ",'
    b' "details": {}, "payload": null, "size": null}\n\n'
) * 500


class Asked(NamedTuple):
    method: str
    path: str
    query: list[tuple[str, str]]
    body: bytes


@pytest.fixture(scope="module")
def recording() -> Iterator[tuple[str, list[Asked]]]:
    """Where something listens that answers all with a no, and what it was asked."""
    told: list[Asked] = []

    class Listening(BaseHTTPRequestHandler):
        def _record(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            path = parts.path.removeprefix("/api/v1")
            told.append(Asked(self.command, path, parse_qsl(parts.query), body))
            if "client_id=ends" in parts.query:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(STREAM)
                return
            answer = json.dumps({"detail": "No."}).encode()
            self.send_response(409)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = do_DELETE = _record  # noqa: N815 # as the server names them

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Listening) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", told
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_a_command_asks_with_all_that_there_is(
    recording: tuple[str, list[Asked]], in_process: Run, operation: Operation
) -> None:
    url, told = recording
    told.clear()
    ended = in_process(*shlex.split(COMMANDS[operation.name]), "--api", url)
    assert (ended.code, ended.err) == (1, "Error: No.\n")
    (asked,) = told
    assert (asked.method, asked.path) == (operation.method, operation.path)
    if operation.method == "POST":
        form = of_body(operation.asked, asked.body)
    else:
        form = of_query(operation.asked, asked.query)
    left_out = LEFT_OUT[""] | LEFT_OUT.get(operation.name, set())
    for field in dataclasses.fields(form):
        if field.name not in left_out:
            assert getattr(form, field.name) not in (field.default, (), None), field.name


def test_a_stream_that_is_refused_is_told_each_time(
    recording: tuple[str, list[Asked]], in_process: Run
) -> None:
    for _ in range(10):  # what is told first was a matter of luck
        ended = in_process("trace", "c", "--api", recording[0])
        assert (ended.code, ended.err) == (1, "Error: No.\n")


def test_a_stream_that_ends_is_shown_whole_and_its_end_told(
    recording: tuple[str, list[Asked]], in_process: Run
) -> None:
    url, _ = recording
    ended = in_process("trace", "ends", "--json", "--api", url)
    assert (ended.code, ended.err) == (1, f"Error: The broker at {url} has ended.\n")
    assert len(ended.out.splitlines()) == 500
    enough = in_process("trace", "ends", "--json", "--count", "500", "--api", url)
    assert (enough.code, enough.err) == (0, "")


@pytest.mark.parametrize(
    ("given", "form", "name"), [(ORDERS, ClientQuery, "sort"), (REASONS, RemovalQuery, "reason")]
)
def test_what_is_written_once_more_as_it_takes_long_to_load_is_the_same(
    given: tuple[str, ...], form: type, name: str
) -> None:
    assert set(given) | {""} == set(get_args(get_type_hints(form)[name])) | {""}
