"""A broker with its page, and a real browser to look at it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.cli.programs import DEADLINE, Program
from tests.ports import free_port
from trio_mqtt.access import set_password

# Pictures are made for whoever asks for them, as `nox -s pictures` does.
PICTURES = os.environ.get("PICTURES")
collect_ignore = [] if PICTURES else ["test_pictures.py"]

PASSWORD = "correct horse"
TOKEN = "5f1c0e77a1d24c1f9b0e"  # of a program that may do everything
# What a client can name, as somebody would who means harm.
EVIL = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"

expect.set_options(timeout=DEADLINE * 1000)


class Served:
    """A broker as a process, its page, and a client of it."""

    def __init__(self, folder: Path) -> None:
        passwords = folder / "passwords"
        for name in ("ada", "bob"):
            set_password(passwords, name, PASSWORD.encode(), create=True)
        # Whose roles let everybody do everything.
        (folder / "dynamic.json").write_text(
            '{"defaultACLAccess": {"publishClientSend": true, "subscribe": true}}'
        )
        self.configuration = folder / "broker.toml"
        # Where it comes again, once it was stopped.
        self._write(free_port(), free_port())
        self.program: Program
        self.page = self.url = ""
        self._folder = folder

    def _write(self, web: int, mqtt: int) -> None:
        self.configuration.write_text(
            f"""
            [[listeners]]
            url = "mqtt://127.0.0.1:{mqtt}"
            [access]
            passwords = "{self.configuration.parent / "passwords"}"
            dynamic = "{self.configuration.parent / "dynamic.json"}"
            allow_anonymous = true
            [history]
            filters = ["house/#"]
            path = "{self.configuration.parent / "history.sqlite3"}"
            interval = "50ms"
            [web]
            listen = "127.0.0.1:{web}"
            roles = {{ ada = "administrate", bob = "see" }}
            [web.tokens.tests]
            token = "{TOKEN}"
            role = "administrate"
            """
        )

    def start(self) -> None:
        self.program = Program("broker", "--config", str(self.configuration))
        self.program.__enter__()
        self.url = self.program.out.expect(r"Listening at (mqtt://\S+)\n")[1]
        self.page = self.program.out.expect(r"(http://127\.0\.0\.1:\d+)")[1]

    def change_access(self, *commands: Mapping[str, object]) -> list[dict[str, Any]]:
        """The answers to commands of dynamic security."""
        connection = HTTPConnection(self.page.removeprefix("http://"), timeout=DEADLINE)
        connection.request(
            "POST",
            "/api/v1/dynamic-security",
            json.dumps({"commands": commands}),
            {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"},
        )
        responses: list[dict[str, Any]] = json.load(connection.getresponse())["responses"]
        connection.close()
        return responses

    def stop(self) -> None:
        self.program.__exit__(None, None, None)


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("page"))
    served.start()
    try:
        yield served
    finally:
        served.stop()


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.fail("Install chromium: the page is tried in it.")
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        with playwright.chromium.launch(executable_path=path, args=arguments) as browser:
            yield browser


@pytest.fixture
def page(browser: Browser, served: Served) -> Iterator[Page]:
    """A page of its own, in which nothing may go wrong unsaid, and no foreign host is asked."""
    context = browser.new_context()
    context.set_default_timeout(DEADLINE * 1000)
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "console", lambda said: wrong.append(said.text) if "Content Security" in said.text else None
    )
    page.on(
        "request",
        lambda asked: (
            wrong.append(asked.url) if not asked.url.startswith((served.page, "data:")) else None
        ),
    )
    yield page
    context.close()
    assert wrong == []


def log_in(page: Page, served: Served, name: str = "ada", where: str = "") -> None:
    page.goto(served.page + "/" + where)
    page.get_by_label("User").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("button", name="Log out")).to_be_visible()
