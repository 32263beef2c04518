"""What is asked otherwise than it should be, what streams, and what else is answered."""

from __future__ import annotations

import json
from collections.abc import MutableMapping
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
import trio.testing

import trio_mqtt
from tests.web.conftest import OPTIONS, TOKENS, Served, served_with
from tests.web.event_streams import EventStream
from trio_mqtt import ConfigurationError, ListenError
from trio_mqtt.administration import NewMessage, TraceQuery
from trio_mqtt.configuration import load
from trio_mqtt.web import WebOptions, WebToken, serving_web
from trio_mqtt.web.api import Api
from trio_mqtt.web.json_forms import of_body
from trio_mqtt.web.problems import ProblemError


@pytest.mark.parametrize(
    ("method", "path", "options", "status"),
    [
        ("GET", "/nothing", {}, 404),
        ("PUT", "/clients", {}, 405),
        ("GET", "/clients?limit=0", {}, 422),
        ("GET", "/clients?limit=x", {}, 422),
        ("GET", "/clients?limit=1&limit=2", {}, 422),
        ("GET", "/clients?colour=blue", {}, 422),
        ("GET", "/clients?sort=colour", {}, 422),
        ("GET", f"/clients?offset={10**30}", {}, 200),
        ("GET", "/client", {}, 422),
        ("GET", "/client?client_id=a%2F..%2Fb", {}, 404),
        ("GET", "/client?client_id=%FF%00", {}, 404),
        ("GET", "/trace", {}, 422),
        ("GET", "/trace?topic_filter=a/%23/b", {}, 422),
        ("GET", "/events?kinds=NoSuchThing", {}, 409),
        ("DELETE", "/retained", {}, 422),
        ("POST", "/messages", {"json": {"topic": "a", "colour": 1}}, 422),
        ("POST", "/messages", {"json": {"topic": "a", "payload": "no base64!"}}, 422),
        ("POST", "/messages", {"json": {"topic": "a", "payload": "eA==", "text": "x"}}, 422),
        ("POST", "/messages", {"json": ["topic"]}, 422),
        ("POST", "/messages", {"json": {"topic": "a", "content_type": "x" * 70_000}}, 409),
        ("POST", "/messages", {"content": b"topic=a"}, 415),
        (
            "POST",
            "/messages",
            {"content": b"{", "headers": {"Content-Type": "application/json"}},
            422,
        ),
        ("POST", "/messages", {"json": {"topic": "a", "text": "x" * 3_000_000}}, 413),
        ("POST", "/messages", {"json": {"topic": "a", "text": "x" * 1_000_000}}, 200),
        ("POST", "/bans", {"json": {"kind": "user", "value": "x" * 300_000}}, 413),
        ("POST", "/dynamic-security", {"json": {"commands": [1] * 200_000}}, 413),
        ("POST", "/dynamic-security", {"json": {"commands": [1] * 20_000}}, 422),
        ("POST", "/dynamic-security", {"json": {"commands": [{}] * 1_001}}, 422),
        ("POST", "/bans", {"json": {f"a{n}": 1 for n in range(9_000)}}, 422),
        ("POST", "/client/disconnect", {"json": {"client_id": "x", "reason_code": 10**30}}, 422),
    ],
)
async def test_what_is_asked_wrongly_is_told_so(
    served: Served, method: str, path: str, options: dict[str, Any], status: int
) -> None:
    async with served.asking() as client:
        answer = await client.request(method, path, **options)
    assert answer.status_code == status, answer.text
    if status != 200:
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json()
        assert problem["status"] == status
        assert problem["detail"]
        assert "Value error" not in problem["detail"]


@pytest.mark.parametrize(
    "odd",
    [
        b'{"topic": {%s}}' % b", ".join(b'"%d": 1' % number for number in range(30_000)),
        b'{"topic": [%s]}' % b",".join([b"1"] * 200_000),
        b'{"topic": [%s]}' % b",".join([b'""'] * 200_000),
    ],
    ids=["an object", "a list", "texts"],
)
def test_a_long_body_of_many_values_is_not_read(odd: bytes) -> None:
    with pytest.raises(ProblemError, match="too many values"):
        of_body(NewMessage, odd)


def test_a_long_text_may_have_anything_in_it() -> None:
    text = json.dumps([{"a": '\\ "'}] * 30_000)
    told = {"topic": "a", "text": text, "user_properties": [["a", "b"]] * 1_000}
    assert of_body(NewMessage, json.dumps(told, indent=2).encode()).text == text


async def test_answers_are_not_for_other_pages(served: Served) -> None:
    async with served.asking() as client:
        answer = await client.get("/overview")
    headers = answer.headers
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "access-control-allow-origin" not in headers
    assert "server" not in headers


async def test_health_is_told_to_everybody(served: Served) -> None:
    async with httpx.AsyncClient(base_url=served.url, trust_env=False) as client:
        assert (await client.get("/healthz")).text == "ok\n"
        assert (await client.get("/readyz")).status_code == 200


async def test_metrics_are_for_who_may_see_where_they_are_configured(
    short_path: Path, served: Served
) -> None:
    async with served.asking("see") as client:
        assert (await client.get(f"{served.url}/metrics")).status_code == 404
    path = short_path / "b.toml"
    path.write_text(
        '[[listeners]]\nurl = "mqtt://127.0.0.1:0"\n[metrics]\nlisten = "127.0.0.1:0"\n'
        '[web]\nlisten = "127.0.0.1:0"\n'
        f'[web.tokens.prometheus]\ntoken = "{TOKENS["see"]}"\nrole = "see"\n'
    )
    async with load(path).run() as running:
        assert running.web_url is not None
        async with httpx.AsyncClient(base_url=running.web_url, timeout=60) as client:
            assert (await client.get("/metrics")).status_code == 401
            shown = {"Authorization": f"Bearer {TOKENS['see']}"}
            answer = await client.get("/metrics", headers=shown)
            assert "\nmqtt_" in answer.text
            assert answer.headers["content-type"].startswith("text/plain")


async def test_a_client_is_traced(served: Served) -> None:
    async with (
        EventStream(served, "/trace", client_id="c") as told,
        trio_mqtt.open_client(served.broker.url, client_id="c") as traced,
    ):
        assert told.headers["content-type"].startswith("text/event-stream")
        await traced.publish("a", b"\xff", qos=1)
        found = [await told.next() for _ in range(4)]
    assert [one["kind"] for _, one in found] == ["CONNECT", "CONNACK", "PUBLISH", "PUBACK"]
    assert found[2][1]["payload"] == "/w=="


async def test_a_trace_too_many_is_refused_in_words(served: Served) -> None:
    asked = TraceQuery(topic_filter="a")
    with ExitStack() as stack:
        for _ in range(16):
            stack.enter_context(served.broker.administration.trace(asked))
        async with served.asking() as client:
            answer = await client.get("/trace", params={"topic_filter": "a"})
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"].startswith("16 traces are running already")


async def test_events_are_told(served: Served) -> None:
    async with (
        EventStream(served, "/events", kinds="ClientConnected") as told,
        trio_mqtt.open_client(served.broker.url, client_id="c"),
    ):
        name, event = await told.next()
    assert name == "events"
    assert (event["kind"], event["client_id"]) == ("ClientConnected", "c")


async def test_a_stream_goes_on_however_long_its_reader_says_nothing(
    mock_clock: trio.testing.MockClock, served: Served
) -> None:
    async with EventStream(served, "/events", kinds="MessagePublished") as told:
        for _ in range(10):
            mock_clock.jump(14)
            await trio.testing.wait_all_tasks_blocked()
        await served.broker.publish("a", b"", qos=1)
        assert (await told.next())[0] == "events"


async def test_nothing_is_left_of_a_stream_that_nobody_reads_any_more(served: Served) -> None:
    core = served.broker._core
    async with EventStream(served, "/trace", topic_filter="a/#"):
        assert core.traces == 1
    with trio.fail_after(60):
        while core.traces:  # noqa: ASYNC110 # nobody tells
            await trio.sleep(0.01)


async def test_streams_end_with_the_broker(short_path: Path) -> None:
    async with AsyncExitStack() as stack, served_with(OPTIONS, short_path) as served:
        await stack.enter_async_context(EventStream(served, "/events"))


async def test_so_much_is_answered_at_one_time(short_path: Path) -> None:
    async with (
        served_with(replace(OPTIONS, maximum_requests=2), short_path) as served,
        served.asking() as client,
        EventStream(served, "/events"),
        EventStream(served, "/events"),
    ):
        refused = await client.get("/overview")
        assert refused.status_code == 503
        assert refused.headers["retry-after"]
        for path in ("/healthz", "/readyz"):  # they say whether the broker is to be started anew
            assert (await client.get(f"{served.url}{path}")).status_code == 200


@pytest.mark.parametrize(
    ("version", "room", "status"), [("1.1", 1, 200), ("1.1", 0, 503), ("2", 1, 505)]
)
async def test_an_answer_ends_while_its_body_still_comes(
    autojump_clock: trio.testing.MockClock, version: str, room: int, status: int
) -> None:
    # The queue of the server, which says there that the answer has ended, and waits for room.
    put, take = trio.open_memory_channel[dict[str, Any]](10)
    for _ in range(10):
        put.send_nowait({"type": "http.request", "body": bytes(65_536), "more_body": True})
    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": "/", "headers": []}
    scope["http_version"] = version
    told: list[int] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            told.append(message["status"])
        elif not message.get("more_body"):
            await put.send({"type": "http.disconnect"})
            told.append(0)

    async with trio_mqtt.open_broker("mqtt://127.0.0.1:0") as broker, put, take:
        api = Api(broker, OPTIONS)
        api._free = room
        with trio.fail_after(60):
            await api.app()(scope, take.receive, send)
    assert told == [status, 0]


@pytest.mark.posix
async def test_the_socket_is_for_the_user_of_the_broker_alone(served: Served) -> None:
    assert served.socket.stat().st_mode & 0o777 == 0o600
    async with served.owning() as client:
        assert (await client.get("/session")).json()["role"] == "administrate"


async def test_the_socket_goes_with_the_broker(short_path: Path) -> None:
    async with served_with(OPTIONS, short_path) as served:
        assert served.socket.exists()
    assert not served.socket.exists()


async def test_a_port_that_is_taken_is_told(served: Served) -> None:
    options = WebOptions(listen=served.url.removeprefix("http://"))
    with pytest.raises(ListenError, match="cannot be served"):
        async with serving_web(served.broker, options):
            pass


async def test_nothing_is_served_that_is_not_asked_for() -> None:
    async with (
        trio_mqtt.open_broker("mqtt://127.0.0.1:0") as broker,
        serving_web(broker, WebOptions()) as url,
    ):
        assert url is None


@pytest.mark.parametrize(
    "options",
    [
        {"listen": "0.0.0.0:80"},
        {"listen": "nowhere"},
        {"listen": "127.0.0.1:99999"},
        {"idle_time": 0},
        {"maximum_requests": 0},
        {"key": "k"},
    ],
)
def test_options_make_sense(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        WebOptions(**options)


def test_tokens_are_long_and_not_shown() -> None:
    with pytest.raises(ConfigurationError, match="openssl"):
        WebToken(token="short")
    assert "x" * 20 not in repr(WebToken(token="x" * 20))
    assert WebOptions(listen="0.0.0.0:80", plain=True).listen
