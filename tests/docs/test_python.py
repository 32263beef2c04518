"""Programs and pieces of programs run, on each library that they may run on."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from contextlib import chdir
from functools import partial
from pathlib import Path
from types import CodeType
from typing import Any

import anyio
import pytest
import trio

import trio_mqtt
from tests.docs import not_run
from tests.docs.blocks import Block, each, of
from tests.docs.files import Files
from trio_mqtt.testing import broker_in_thread

BLOCKS = of("python", "py")
# Pieces of programs with other libraries, shown beside ours.
OTHERS = ("# paho-mqtt", "# aiomqtt")


def is_run_by_its_page(block: Block) -> bool:
    """Whether a terminal of its page runs the file, or another program there imports it."""
    terminals = "".join(one.text for one in of("console") if one.page == block.page)
    others = "".join(one.text for one in BLOCKS if one.page == block.page and one != block)
    module = block.name.removesuffix(".py")
    imports = re.search(rf"^(import|from) {module}\b", others, re.MULTILINE)
    return block.name in terminals or imports is not None


# What pytest runs, not Python.
TESTS = [
    block
    for block in BLOCKS
    if re.search(r"^ *(async )?def test_", block.text, re.MULTILINE) and not block.name
]
# Files of a page that its terminal blocks run, or others of these.
NAMED = [block for block in BLOCKS if block.name and is_run_by_its_page(block)]
RUN = [block for block in BLOCKS if block not in TESTS and block not in NAMED]

# What is other than shown. Ports: several tests run at one time.
_REPLACED = (
    (re.compile(r"(mqtts?|wss?)://(?:127\.0\.0\.1|0\.0\.0\.0):\d+"), r"\1://127.0.0.1:0"),
    (re.compile(r"\bopen_broker\(\)"), 'open_broker("mqtt://127.0.0.1:0")'),
    (re.compile(r'"127\.0\.0\.1:9883"'), '"127.0.0.1:0"'),
    # What would go on until Ctrl-C ends once it serves.
    (re.compile(r"\btrio\.run\(trio_mqtt\.serve\)"), "trio.run(serve_and_end)"),
    (re.compile(r"\btrio\.sleep_forever\(\)"), "trio.lowlevel.checkpoint()"),
)
_ON_TRIO_ALONE = ("open_broker", "import trio\n", "configuration.load")


def code_of(block: Block, url: str) -> CodeType:
    """Its code, for the broker at `url`."""
    source = block.text
    for shown, own in _REPLACED:
        source = shown.sub(own, source)
    source = source.replace("mqtt://localhost", url)
    code = compile(source, block.place, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    assert isinstance(code, CodeType)
    return code


def run(block: Block, url: str, backend: str) -> None:
    """Run a program, or lines that are within the block of a client."""
    code = code_of(block, url)
    names: dict[str, Any] = {
        "__name__": "__main__",
        "trio_mqtt": trio_mqtt,
        "serve_and_end": serve_and_end,
    }
    if not code.co_flags & inspect.CO_COROUTINE:
        eval(code, names)  # noqa: S307 # it is ours
        return

    async def within_a_client() -> None:
        async with trio_mqtt.open_client(url) as names["client"]:
            with anyio.fail_after(60):
                await eval(code, names)  # noqa: S307 # it is ours

    anyio.run(within_a_client, backend=backend)


async def serve_and_end() -> None:
    """What serves until Ctrl-C, until it serves."""
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(trio_mqtt.serve, "mqtt://127.0.0.1:0"))
        nursery.cancel_scope.cancel()


def backends(block: Block) -> list[str]:
    """What it is run on: pieces on both libraries, unless they say which one they are for."""
    is_program = re.search(r"^(trio|asyncio|anyio)\.run\(", block.text, re.MULTILINE)
    if is_program or any(word in block.text for word in _ON_TRIO_ALONE):
        return ["trio"]
    return ["asyncio", "trio"]


@pytest.mark.parametrize(
    ("block", "backend"),
    [
        pytest.param(block, backend, id=f"{block.place}-{backend}")
        for block in RUN
        for backend in backends(block)
    ],
)
def test_it_runs(
    block: Block,
    backend: str,
    files: Files,
    capfd: pytest.CaptureFixture[str],
) -> None:
    if block.text.startswith(OTHERS) or any(word in block.text for word in not_run.MODULES):
        compile(block.text, block.place, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        return
    with chdir(files.folder), broker_in_thread() as broker:
        run(block, broker.url, backend)
    assert capfd.readouterr().err == ""


@pytest.mark.slow
@pytest.mark.parametrize("page", sorted({block.page for block in TESTS}))
def test_the_tests_of_a_page_pass(page: str, tmp_path: Path) -> None:
    shown = [block for block in TESTS if block.page == page]
    for block in shown:
        (tmp_path / f"test_{block.line}.py").write_text(block.text)
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("block", each(NAMED))
def test_a_program_that_its_page_runs_can_be_compiled(block: Block) -> None:
    compile(block.text, block.place, "exec")
