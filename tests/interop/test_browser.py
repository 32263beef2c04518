"""A real browser against our broker: MQTT.js in Chromium, without a window."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import paho.mqtt.client as paho
from anyio.from_thread import BlockingPortal
from paho.mqtt.enums import CallbackAPIVersion

import trio_mqtt
from tests.ports import free_port

HERE = Path(__file__).parent
DEADLINE = 60.0
MIB = 1024 * 1024

FILES = {
    "/": (HERE / "js" / "browser.html", "text/html; charset=utf-8"),
    "/mqtt.min.js": (HERE / "node_modules" / "mqtt" / "dist" / "mqtt.min.js", "text/javascript"),
}


@contextmanager
def page_server(reports: queue.Queue[str]) -> Iterator[str]:
    """Serves the page, and takes down what it reports."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # as http.server wants it
            found = FILES.get(self.path.partition("?")[0])
            if found is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Type", found[1])
            self.end_headers()
            self.wfile.write(found[0].read_bytes())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            reports.put(json.loads(body)["event"])
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def browser(url: str, folder: Path, *options: str) -> Iterator[None]:
    program = shutil.which("chromium")
    if program is None:
        raise FileNotFoundError("Chromium is not installed: apt-get install chromium.")
    command = [
        *(program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
        *("--no-first-run", "--disable-background-networking", "--remote-debugging-port=0"),
        *(f"--user-data-dir={folder}", *options, url),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               start_new_session=True)  # fmt: skip
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 15)  # its own processes, all in a group that we made
        process.wait(DEADLINE)


@contextmanager
def peer(port: int) -> Iterator[tuple[paho.Client, queue.Queue[bytes]]]:
    """A client in Python that hears what the page publishes."""
    client = paho.Client(CallbackAPIVersion.VERSION2)
    heard: queue.Queue[bytes] = queue.Queue()
    ready = threading.Event()
    client.on_message = lambda _c, _u, message: heard.put(bytes(message.payload))
    client.on_subscribe = lambda *_: ready.set()
    client.connect("127.0.0.1", port)
    client.loop_start()
    client.subscribe("python", qos=1)
    assert ready.wait(DEADLINE)
    try:
        yield client, heard
    finally:
        client.disconnect()
        client.loop_stop()


def wait_for(reports: queue.Queue[str], event: str) -> None:
    while reports.get(timeout=DEADLINE) != event:
        pass


def test_a_page_in_a_browser_exchanges_messages_and_comes_back_after_a_restart(
    trio_portal: BlockingPortal, tmp_path: Path
) -> None:
    port = free_port()
    # One port for the page and for Python.
    url = f"any://127.0.0.1:{port}"
    reports: queue.Queue[str] = queue.Queue()
    with (
        page_server(reports) as page,
        browser(f"{page}?broker=ws://127.0.0.1:{port}/mqtt", tmp_path),
    ):
        for number in (1, 2):
            opening = trio_mqtt.open_broker(url)
            with trio_portal.wrap_async_context_manager(opening):
                wait_for(reports, "subscribed")
                with peer(port) as (client, heard):
                    for payload in (b"small", os.urandom(MIB), b"", b"%d" % number):
                        client.publish("page", payload, qos=1)
                        assert heard.get(timeout=DEADLINE) == payload
            wait_for(reports, "closed")


def test_a_page_of_another_origin_is_not_let_in(
    trio_portal: BlockingPortal, tmp_path: Path
) -> None:
    reports: queue.Queue[str] = queue.Queue()
    listen = trio_mqtt.Listen("ws://127.0.0.1:0", origins=["https://example.org"])
    with (
        page_server(reports) as page,
        trio_portal.wrap_async_context_manager(trio_mqtt.open_broker(listen)) as broker,
        browser(f"{page}?broker={broker.url}", tmp_path),
    ):
        wait_for(reports, "closed")
        assert broker.statistics.clients_connected == 0
        assert reports.empty() or reports.get() == "closed"


def test_a_page_whose_name_is_led_to_this_machine_is_not_let_in(
    trio_portal: BlockingPortal, tmp_path: Path
) -> None:
    reports: queue.Queue[str] = queue.Queue()
    rebound = "--host-resolver-rules=MAP evil.example 127.0.0.1"
    with (
        page_server(reports) as page,
        trio_portal.wrap_async_context_manager(trio_mqtt.open_broker("ws://127.0.0.1:0")) as broker,
    ):
        evil = f"{page}?broker={broker.url}".replace("127.0.0.1", "evil.example")
        with browser(evil, tmp_path, rebound):
            wait_for(reports, "closed")
            assert broker.statistics.clients_connected == 0
            assert reports.empty() or reports.get() == "closed"
