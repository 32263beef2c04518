"""The commands that ask a running broker: tables, JSON, sentences and exit codes."""

from __future__ import annotations

import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.cli.administering.conftest import TOKEN
from tests.cli.programs import Program, Run
from trio_mqtt import sync

pytestmark = pytest.mark.slow


def test_clients_are_shown_as_a_table_and_as_json(ask: Run) -> None:
    shown = ask("clients", "LAM", "--connected")
    heads, row = shown.out.splitlines()
    assert heads.split()[:3] == ["Client", "State", "For"]
    assert re.match(r"lamp +connected +\d+ \w+ +- +127\.0\.0\.1:\d+ +5 +1 +0 +0 +0", row)
    (line,) = ask("clients", "--json").out.splitlines()
    assert json.loads(line)["client_id"] == "lamp"
    none = ask("clients", "--away")
    assert (none.code, none.out, none.err) == (0, "", "There are no clients.\n")


def test_rates_fit_a_terminal(folder: Path, ask: Run) -> None:
    arguments = ("clients", "lamp", "--rates", "10ms", "--api", str(folder))
    with Program(*arguments, terminal=True, columns=80) as shown:
        assert shown.ended() == 0
        heads, row = shown.out.text.replace("\x1b[2m", "").splitlines()[:2]
    assert re.search(r"Client +State +In/s +Out/s +Bytes in/s +Bytes out/s +Queued +Dropped", heads)
    assert re.match(r"lamp +connected +\S+ +\S+ +\S+ \w+ +\S+ \w+ +0 +0", row)
    (line,) = ask("clients", "--rates", "10ms", "--json").out.splitlines()
    assert json.loads(line)["rates"]["messages_in"] >= 0


def test_a_message_is_listed_shown_and_deleted(running: tuple[str, str], ask: Run) -> None:
    _, url = running
    assert ask("pub", "kept/1", "on", "--retain", "-q", "1", "-i", "switch", "-b", url).code == 0
    listed = ask("retained", "list", "kept/#").out.splitlines()
    assert re.match(r"kept/1 +\d+ s +switch +gone +1 +2 +-", listed[1])
    assert ask("retained", "list", "kept/#", "--orphaned", "silent").out == ""
    assert ask("retained", "show", "kept/1").out == "on\n"
    assert json.loads(ask("retained", "show", "kept/1", "--json").out)["author"] == "switch"
    assert ask("retained", "list", "kept/#", "--older-than", "1h").out == ""
    assert ask("retained", "delete", "kept/#", "--yes").err == "1 retained message deleted.\n"
    gone = ask("retained", "show", "kept/1")
    assert (gone.code, gone.err) == (1, "Error: No message is retained at 'kept/1'.\n")


def test_who_would_get_a_message(ask: Run) -> None:
    shown = ask("who", "a/b", "-q", "1")
    assert shown.code == 0
    assert re.match(r"lamp +yes +0 +a/# +connected +-", shown.out.splitlines()[1])
    nobody = ask("who", "z")
    assert nobody.code == 1
    assert nobody.err.endswith("Error: Nobody would get it.\n")


def test_one_client_is_shown_steered_and_asked_about(ask: Run) -> None:
    given = ask("subscriptions", "give", "lamp", "given/#", "-q", "1")
    assert given.err == "lamp has the subscription given/#.\n"
    shown = ask("client", "lamp").out
    assert re.search(r"^Client +lamp\nState +connected\nFor +\d+ \w+\nAddress +127", shown)
    assert re.search(
        r"^Subscription +QoS +Waiting +Rests\na/# +0 +0 +-\ngiven/# +1 +0 +-$", shown, re.M
    )
    assert ask("send", "given/1", "on", "--to", "lamp").err == "Sent to lamp, or it waits there.\n"
    taken = ask("subscriptions", "take", "lamp", "given/#")
    assert taken.err == "lamp has no subscription given/# any more.\n"
    allowed = ask("may", "lamp", "subscribe", "a/#")
    assert (allowed.code, allowed.out) == (0, "lamp may subscribe to a/#: no rules\n")
    denied = ask("may", "lamp", "publish", "$SYS/x")
    assert (denied.code, denied.err) == (1, "Error: The client may not do that.\n")
    nobody = ask("client", "nobody")
    assert (nobody.code, nobody.err) == (1, "Error: This broker knows no client 'nobody'.\n")


def test_the_broker_is_shown_as_a_whole_and_has_no_roles(ask: Run) -> None:
    shown = ask("overview")
    assert shown.code == 0
    assert re.search(r"^trio-mqtt +\S+\nRuns for +\d+ \w+\nListens at +mqtt://127", shown.out)
    hour = ask("overview", "--hour")
    assert hour.code == 0
    assert re.search(r"^Clients +\S+  [01] to [01]$", hour.out, re.M) or "long enough" in hour.err
    none = ask("dynsec", "listRoles", "count=2")
    assert none.code == 1
    assert none.err.startswith("Error: This broker has no dynamic security")


def test_somebody_is_banned_for_a_while(ask: Run) -> None:
    banned = ask("ban", "--address", "192.0.2.9/24", "--for", "1h", "--reason", "floods")
    assert banned.err == "The address 192.0.2.0/24 is banned; 0 clients disconnected.\n"
    row = ask("ban", "--list").out.splitlines()[1]
    assert re.match(
        r"address +192\.0\.2\.0/24 +\d+ s +(59 min|1 h) +the broker's own user +floods", row
    )
    assert ask("ban", "--address", "192.0.2.0/24", "--lift").code == 0
    again = ask("ban", "--address", "192.0.2.0/24", "--lift")
    assert (again.code, again.err) == (1, "Error: The address '192.0.2.0/24' is not banned.\n")


def test_what_waits_is_shown_until_the_session_ends(running: tuple[str, str], ask: Run) -> None:
    _, url = running
    with Program("sub", "q/#", "-q", "1", "-b", url, "-i", "away", "--session", "1h") as sub:
        for _ in range(600):
            told = ask("clients", "away", "--json").out
            if told and json.loads(told)["subscriptions"]:
                break
        sub.stop()
    assert ask("pub", "q/1", "waits\x1b", "-q", "1", "-b", url).code == 0
    listed = ask("sessions", "list", "away").out.splitlines()
    assert re.match(r"away +away +\d+ s +(59 min|1 h) +1 +1 ", listed[1])
    row = ask("sessions", "queue", "away").out.splitlines()[1]
    assert re.match(r"q/1 +1 +6 +\d+ s +waiting +q/# +waits\\x1b", row)
    assert ask("sessions", "end", "away").err == "The session of away has ended.\n"
    assert ask("sessions", "queue", "away").code == 1


def test_a_topic_is_traced(running: tuple[str, str], folder: Path, ask: Run) -> None:
    _, url = running
    with Program("trace", "--topic", "a/t", "--count", "2", "--api", str(folder)) as trace:
        for _ in range(600):  # until the trace has begun
            assert ask("pub", "a/t", "hello", "-b", url, "-i", "p").code == 0
            if "PUBLISH" in trace.out.text:
                break
        assert trace.ended() == 0
    assert re.search(r"^\d\d:\d\d:\d\d → p PUBLISH topic=a/t .*hello$", trace.out.text, re.M)


def test_a_client_is_disconnected(ask: Run) -> None:
    assert ask("disconnect", "lamp", "--reason", "a test").err == "lamp is disconnected.\n"
    unknown = ask("disconnect", "nobody")
    assert (unknown.code, unknown.err) == (1, "Error: This broker knows no client 'nobody'.\n")


def test_a_token_may_see_and_no_more(
    running: tuple[str, str], tmp_path: Path, in_process: Run
) -> None:
    api, _ = running
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n", encoding="utf-8")
    token = ("--api", api, "--api-token-file", str(file))
    assert in_process("clients", *token).code == 0
    refused = in_process("ban", "--user", "eve", *token)
    assert (refused.code, refused.err) == (
        1,
        "Error: This takes the role administrate, or one above it.\n",
    )
    unknown = in_process("clients", "--api", api)
    assert unknown.code == 1
    assert "--api-token-file FILE" in unknown.err
    file.write_text("another token", encoding="utf-8")
    assert "does not know the token" in in_process("clients", *token).err
    for wrong, told in (("€", "The token cannot be one: "), ("\udcff", f"What is in {file} is no")):
        file.write_text(wrong, encoding="utf-8", errors="surrogateescape")
        refused = in_process("clients", *token)
        assert (refused.code, refused.err.startswith(f"Error: {told}")) == (1, True)
    file.unlink()
    assert in_process("clients", *token).err == (
        f"Error: The token in {file} cannot be read: No such file or directory.\n"
    )


def test_what_is_no_utf_8_is_told(ask: Run) -> None:
    for arguments in (
        ("clients", "\udcff"),
        ("who", "\udcff"),
        ("trace", "\udcff"),
        ("disconnect", "\udcff"),
        ("send", "a", "b", "--user-property", "\udcff=c"),
        ("dynsec", "getRole", "rolename=\udcff"),
    ):
        refused = ask(*arguments)
        assert (refused.code, refused.err) == (
            1,
            "Error: '\\udcff' holds a character that UTF-8 cannot carry.\n",
        )


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ("http://127.0.0.1:1", "cannot be asked at http://127.0.0.1:1 (Connection refused)"),
        ("/nowhere", "cannot be asked at /nowhere (No such file or directory)"),
        ("localhost:1", "localhost:1 is no URL and no folder: is it http://localhost:1?"),
        ("gopher://here", "gopher://here is no URL such as http://127.0.0.1:8080, and no folder."),
        ("http://[::1", "http://[::1 is no URL such as http://127.0.0.1:8080, and no folder."),
    ],
)
def test_a_broker_that_is_not_there_is_told(in_process: Run, place: str, sentence: str) -> None:
    ended = in_process("clients", "--api", place)
    assert ended.code == 1
    assert sentence in ended.err


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (b"<html>", "cannot be asked"),
        (b"[]", "is no broker"),
        (b"{}", "'items' is missing"),
        (b'{"items": [{}], "total": 1}', "'client_id' is missing"),
    ],
)
def test_what_is_no_broker_is_said_to_be_none(in_process: Run, said: bytes, sentence: str) -> None:
    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Other) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            ended = in_process("clients", "--api", f"http://127.0.0.1:{server.server_port}")
        finally:
            server.shutdown()
            thread.join(60)
    assert ended.code == 1
    assert sentence in ended.err


def test_nowhere_is_asked_without_a_place(in_process: Run) -> None:
    assert "Which broker?" in in_process("clients").err


@pytest.mark.parametrize(
    "words",
    [
        ("clients", "--connected", "--away"),
        ("ban",),
        ("ban", "--client", "a", "--user", "b"),
        ("ban", "--list", "--lift"),
        ("ban", "--list", "--for", "1h"),
        ("ban", "--user", "a", "--lift", "--reason", "b"),
        ("ban", "--user", "a", "--lift", "--keep-connected"),
        ("history", "a", "--yes"),
        ("disconnect", "a", "--code", "gone"),
        ("disconnect", "a", "--code", "-1"),
        ("disconnect", "a", "--code", "256"),
        ("subscriptions", "list", "--shared", "--unshared"),
        ("history", "a", "--reason", "age"),
        ("send", "a", "b", "--user-property", "c"),
        ("trace",),
        ("trace", "a", "--topic", "b"),
        ("who", "a", "-q", "3"),
        ("retained", "delete"),
        ("may", "a", "eat", "b"),
        ("send", "a", "b", "--file", "c"),
        ("send", "a", "b", "--mount-point", "c"),
        ("dynsec", "createRole", "rolename"),
    ],
)
def test_wrong_options_are_told(in_process: Run, words: tuple[str, ...]) -> None:
    assert in_process(*words).code == 2


def test_a_list_is_sorted_by_what_there_is(ask: Run) -> None:
    refused = ask("clients", "--sort", "banana")
    assert refused.code == 2
    said = " ".join(refused.err.replace("│", " ").split())
    assert "'banana' is none of client_id, username, since, queued_messages, in_flight" in said
    assert said.endswith("dropped and subscriptions.")
    assert ask("clients", "--sort", "since").code == 0


def test_a_trace_says_what_it_waits_for(folder: Path, ask: Run) -> None:
    for arguments, said in (
        (("lamp",), r"Waiting for packets of the client lamp; Ctrl-C ends it\.\r?\n"),
        (("home/#",), "That is a client identifier: --topic FILTER traces topics"),
        (("--topic", "home/#"), "Waiting for messages to home/#; Ctrl-C ends it"),
    ):
        with Program("trace", *arguments, "--api", str(folder), terminal=True) as program:
            program.out.expect(said)
            program.press_ctrl_c()
            assert program.ended() == 130


def test_a_terminal_is_not_steered_by_what_json_has(
    running: tuple[str, str], folder: Path, ask: Run
) -> None:
    _, url = running
    with sync.open_client(url, client_id="evil\x9bm\u202e", backend="trio"):
        (line,) = ask("clients", "evil", "--json").out.splitlines()
        assert json.loads(line)["client_id"] == "evil\x9bm\u202e"
        arguments = ("clients", "evil", "--json", "--api", str(folder))
        with Program(*arguments, terminal=True, columns=2_000) as shown:
            shown.out.expect(r"evil\\u009bm\\u202e")
            assert shown.ended() == 0
            assert b"\xc2\x9b" not in shown.out.data
