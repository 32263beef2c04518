"""Files of a page are served as they are, to nobody's harm."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.web.conftest import OPTIONS, served_with
from trio_mqtt.web import page_files as module


async def test_files_are_served_and_known_by_their_content(
    tmp_path: Path, short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page"
    (page / "parts").mkdir(parents=True)
    (page / "index.html").write_text("<p>hello", encoding="utf-8")
    (page / "parts" / "a.js").write_text("1", encoding="utf-8")
    (page / "notes.txt").write_text("not served", encoding="utf-8")
    monkeypatch.setattr(module, "files", lambda _package: tmp_path)
    async with (
        served_with(OPTIONS, short_path) as served,
        httpx.AsyncClient(base_url=served.url, trust_env=False) as client,
    ):
        answer = await client.get("/")
        assert (answer.status_code, answer.text) == (200, "<p>hello")
        assert answer.headers["content-type"].startswith("text/html")
        assert "script-src 'self'" in answer.headers["content-security-policy"]
        known = {"If-None-Match": answer.headers["etag"]}
        assert (await client.get("/", headers=known)).status_code == 304
        script = await client.get("/page/parts/a.js", headers=known)
        assert script.status_code == 200
        assert script.headers["content-type"].startswith("text/javascript")
        assert (await client.get("/page/notes.txt")).status_code == 404
        assert (await client.get("/page/../api.py")).status_code == 404
