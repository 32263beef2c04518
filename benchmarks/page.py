"""Whether the page stays fluid: `python -m benchmarks.page [CLIENTS] [TOPICS]`.

A broker has so many clients that are connected, each with a subscription, and so many retained
messages, in a tree of 500 below each level; ten of them change each second. Chromium opens the
page, and does what a person does. A line for each: how long it takes until that is seen, typing
included; the longest that the browser was busy at a stretch, in which it draws nothing; and the
processor time that the broker took. Playwright and Chromium have to be there.
"""

from __future__ import annotations

import os
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from playwright.sync_api import Page, sync_playwright

from benchmarks import processes
from tests.cli.programs import Program
from trio_mqtt import sync
from trio_mqtt.access import set_password
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import Connect, Subscribe, Subscription

_PASSWORD = "correct horse"  # noqa: S105 # of a broker of the moment
_LEVEL = 500  # topics below each level
_ROUNDS = 5
_SHOWN = f"home/level-7/{7 * _LEVEL}"

# Does something, and resolves once what is wanted is seen. As one text: the page's policy lets
# nothing be made of texts in it.
_TIMED = """async () => {
  window.busy ??= [];
  window.watch ??= new PerformanceObserver((list) => busy.push(...list.getEntries()));
  watch.observe({ type: "longtask" });
  busy.length = 0;
  const wanted = () => READY, begun = performance.now();
  ACT;
  while (!wanted()) {
    if (performance.now() - begun > 60000) throw new Error("This is not seen: " + wanted);
    await new Promise(requestAnimationFrame);
  }
  const taken = performance.now() - begun;
  await new Promise((done) => setTimeout(done, 100));
  return [taken, Math.max(0, ...busy.map((one) => one.duration))];
}"""


class Step(NamedTuple):
    """Something that a person does; JavaScript, and what is then there."""

    name: str
    act: str
    ready: str


def _type(label: str, text: str) -> str:
    return (
        f"const field = document.querySelector('[aria-label=\"{label}\"]');"
        f"field.value = '{text}'; field.dispatchEvent(new Event('input'));"
    )


def _told(text: str) -> str:
    return f"document.querySelector('main .bar:last-child .quiet')?.textContent.includes('{text}')"


def _steps(clients: int, topics: int) -> Sequence[Step]:
    rows = "document.querySelectorAll('tbody tr').length > 5"
    sort = "[...document.querySelectorAll('th button')].find((one) => one.textContent == 'User')"
    last = f"device-{clients - 1}"
    return (
        Step("overview", "location.hash = '#/overview'", "document.querySelector('.plots svg')"),
        Step("clients", "location.hash = '#/clients'", f"{rows} && {_told('1 to 50 of')}"),
        Step("… the next page", "document.querySelector('[aria-label=\"Later rows\"]').click()",
             _told("51 to 100")),
        Step("… sorted by user", f"{sort}.click()", _told("1 to 50")),
        Step("… one sought", _type("Identifier, user, address", last), _told("1 to 1 of 1")),
        Step("subscriptions", "location.hash = '#/subscriptions'", rows),
        Step("… one sought", _type("Part of the filter", f"/{clients - 1}/"), _told("1 to 1 of 1")),
        Step("retained", "location.hash = '#/retained'", f"{rows} && {_told('1 to 50 of')}"),
        Step("… some sought", _type("Part of the topic", "level-7/"), _told(f"of {_LEVEL}")),
        Step("topics", "location.hash = '#/topics'", "document.querySelector('.tree button')"),
        Step("… all levels open", "document.querySelector('.tree button').click()",
             "document.querySelector('[data-topic=\"home/level-7\"]')"),
        Step("… one opens", "document.querySelector('[data-topic=\"home/level-7\"]').click()",
             "document.querySelectorAll('[data-topic^=\"home/level-7/\"]').length == 200"),
        Step("… one is shown", f"document.querySelector('[data-topic=\"{_SHOWN}\"]').click()",
             "document.querySelector('pre.value')"),
        Step("… one sought", _type("Part of the topic", f"{topics - 1}"),
             "document.querySelector('.tree button')?.textContent.trim().endsWith(' 1')"),
    )  # fmt: skip


def main(clients: int, topics: int) -> None:
    """Measure it, and print a line for each step."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        set_password(folder / "passwords", "ada", _PASSWORD.encode(), create=True)
        (folder / "broker.toml").write_text(
            f"""
            [[listeners]]
            url = "mqtt://127.0.0.1:0"
            [access]
            passwords = "{folder / "passwords"}"
            allow_anonymous = true
            [web]
            listen = "127.0.0.1:0"
            roles = {{ ada = "see" }}
            """,
            encoding="utf-8",
        )
        broker = stack.enter_context(Program("broker", "--config", str(folder / "broker.toml")))
        port = int(broker.out.expect(r"Listening at mqtt://127\.0\.0\.1:(\d+)\n")[1])
        url = broker.out.expect(r"(http://127\.0\.0\.1:\d+)")[1]
        stack.enter_context(_connected(port, clients))
        stack.enter_context(_changing(port, topics))
        page = stack.enter_context(_page(url))
        print(f"{clients:,} clients, {topics:,} retained messages; the middle of {_ROUNDS}")
        print(f"{'':24} {'seen after':>12} {'browser busy':>13} {'broker':>10}")
        found: dict[int, list[tuple[float, float, float]]] = {}
        for _ in range(_ROUNDS):
            for place, step in enumerate(_steps(clients, topics)):
                before = processes.cpu_seconds(broker.process.pid)
                taken, busy = page.evaluate(
                    _TIMED.replace("READY", step.ready).replace("ACT", step.act)
                )
                cost = processes.cpu_seconds(broker.process.pid) - before
                found.setdefault(place, []).append((taken, busy, cost * 1e3))
            page.evaluate("location.hash = '#/log'")
        for place, step in enumerate(_steps(clients, topics)):
            taken, busy, cost = (
                sorted(one)[_ROUNDS // 2] for one in zip(*found[place], strict=True)
            )
            print(f"{step.name:24} {taken:9.0f} ms {busy:10.0f} ms {cost:7.0f} ms")


@contextmanager
def _connected(port: int, clients: int) -> Iterator[None]:
    """So many clients, which say no more."""
    with ExitStack() as stack:
        for number in range(clients):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            client.sendall(
                encode(Connect(f"device-{number}", keep_alive=0), ProtocolVersion.V5)
                + encode(Subscribe(1, [Subscription(f"devices/{number}/#")]), ProtocolVersion.V5)
            )
            client.recv(1024)
        yield


@contextmanager
def _changing(port: int, topics: int) -> Iterator[None]:
    """So many retained messages, of which ten change each second."""
    ended = threading.Event()
    with sync.open_client(f"mqtt://127.0.0.1:{port}", client_id="publisher") as client:
        names = [f"home/level-{number // _LEVEL}/{number}" for number in range(topics)]
        for name in names:
            client.publish(name, '{"t": 21.5}', retain=True)
        client.publish(_SHOWN, '{"t": 22}', retain=True, qos=1)

        def change() -> None:
            number = 0
            while not ended.wait(0.1):
                client.publish(names[number % topics], f'{{"t": {number}}}', retain=True)
                number += 1

        thread = threading.Thread(target=change)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


@contextmanager
def _page(url: str) -> Iterator[Page]:
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=path, args=arguments) as browser,
    ):
        page = browser.new_page()
        page.set_default_timeout(120_000)
        page.goto(f"{url}/#/log")
        page.get_by_label("User").fill("ada")
        page.get_by_label("Password").fill(_PASSWORD)
        page.get_by_role("button", name="Log in").click()
        page.get_by_role("button", name="Log out").wait_for()
        time.sleep(1)
        yield page


if __name__ == "__main__":
    main(*map(int, [*sys.argv[1:], *("10000", "50000")[len(sys.argv) - 1 :]]))
