"""Payloads of megabytes: a terminal shows a line or less than a screen, a pipe gets all."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.programs import LINES, Program, screen

_SIZE = 10_000_000


@pytest.fixture(scope="module", params=["text", "bytes"])
def large(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("large") / "payload"
    line = b"\xe6\xbc\xa2 one line of it, and many more\n" if request.param == "text" else None
    file.write_bytes((line * (_SIZE // len(line)))[:_SIZE] if line else os.urandom(_SIZE))
    os.truncate(file, _SIZE)
    return file


@pytest.mark.slow
@pytest.mark.parametrize("columns", [40, 60, 80, 200])
def test_what_is_published_is_shown_in_a_line_with_its_size(
    in_pipe: tuple[Program, str], large: Path, columns: int
) -> None:
    _, url = in_pipe
    with Program(
        "pub", "large", "-f", str(large), "-q", "1", "-b", url, terminal=True, columns=columns
    ) as pub:
        assert pub.ended() == 0
    (line,) = [line for line in screen(pub.out.data, columns) if line]
    assert line.endswith("… (10 MB)")
    assert len(line) < columns
    assert len(pub.out.data) < 2_000


@pytest.mark.slow
def test_what_arrives_fits_a_screen_in_a_terminal_and_is_whole_in_a_pipe(
    in_pipe: tuple[Program, str], large: Path
) -> None:
    _, url = in_pipe
    topic = f"large/{large.parent.name}"
    digest = "import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())"
    with Program("pub", topic, "-f", str(large), "-r", "-q", "1", "-b", url) as pub:
        assert pub.ended() == 0
        assert pub.out.data == b""
    with Program("sub", topic, "-C", "1", "-b", url, terminal=True, columns=80) as sub:
        assert sub.ended() == 0
    lines = [line for line in screen(sub.out.data, 80) if line]
    assert len(lines) < LINES
    assert any("more bytes" in line for line in lines)
    assert len(sub.out.data) < 10_000
    hashing = subprocess.Popen(
        [sys.executable, "-c", digest], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert hashing.stdin is not None
    with Program("sub", topic, "-C", "1", "-N", "-b", url, stdout=hashing.stdin.fileno()) as piped:
        assert piped.process.wait(30) == 0
    found = hashing.communicate()[0].decode().strip()
    assert found == hashlib.sha256(large.read_bytes()).hexdigest()
    with Program("pub", topic, "-n", "-r", "-b", url) as pub:
        assert pub.ended() == 0
