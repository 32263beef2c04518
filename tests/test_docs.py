"""What the pages for users of the client show is what happens."""

from __future__ import annotations

import ast
import inspect
import re
import runpy
from pathlib import Path
from typing import Any

import anyio
import pytest

import trio_mqtt
from trio_mqtt.testing import BrokerAddress, broker_in_thread

DOCS = Path(__file__).parent.parent / "docs"
CONFIGURATION = "reference/configuration.md"
PAGES = (
    "how-to/client.md",
    "how-to/client-connections.md",
    "how-to/coming-from.md",
    "how-to/data.md",
    "how-to/from-aedes.md",
    "how-to/history.md",
    "how-to/testing.md",
)
OTHERS = ("# paho-mqtt", "# aiomqtt")


def examples() -> list[Any]:
    found = []
    for page in PAGES:
        text = (DOCS / page).read_text(encoding="utf-8")
        for match in re.finditer(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
            line = text[: match.start()].count("\n") + 2
            found.append(pytest.param(match[1], id=f"{page}:{line}"))
    return found


def run(example: str, broker: BrokerAddress, backend: str) -> None:
    """Run a program, or lines that are within the block of a client."""
    source = example.replace("mqtt://localhost", broker.url)
    code = compile(source, "example", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    names: dict[str, Any] = {"__name__": "__main__", "trio_mqtt": trio_mqtt}
    if not code.co_flags & inspect.CO_COROUTINE:
        eval(code, names)  # noqa: S307 # it is ours
        return

    async def within_a_client() -> None:
        async with trio_mqtt.open_client(broker.url) as names["client"]:
            with anyio.fail_after(60):
                await eval(code, names)  # noqa: S307 # it is ours

    anyio.run(within_a_client, backend=backend)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("example", examples())
def test_it_runs(
    example: str, backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # for those that write files
    if example.startswith(OTHERS):
        compile(example, "example", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        return
    with broker_in_thread() as broker:
        run(example, broker, backend)


def test_ten_tasks_are_shown_in_each_library() -> None:
    text = (DOCS / "how-to" / "coming-from.md").read_text(encoding="utf-8")
    tasks = re.split(r"^## \d+\. ", text, flags=re.MULTILINE)[1:]
    assert len(tasks) == 10
    for task in tasks:
        for library in (*OTHERS, "// MQTT.js", "# trio-mqtt"):
            assert task.count(f"\n{library}") == 1, (task.splitlines()[0], library)


def test_the_tables_of_settings_are_those_of_the_source() -> None:
    text = (DOCS / CONFIGURATION).read_text(encoding="utf-8")
    current = trio_mqtt.configuration.reference()
    assert text.endswith(f"\n{current}"), "python docs/making/settings.py writes them"


def test_the_table_of_limits_is_that_of_the_source() -> None:
    script = runpy.run_path(str(DOCS / "making" / "limits.py"))
    text = (DOCS / "reference" / "limits.md").read_text(encoding="utf-8")
    assert text.endswith(f"{script['MARK']}\n{script['tables']()}"), (
        "python docs/making/limits.py writes it"
    )


def test_the_examples_of_configurations_are_right(tmp_path: Path) -> None:
    text = (DOCS / CONFIGURATION).read_text(encoding="utf-8")
    found = re.findall(r"^```toml\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert len(found) == 2
    for example in found:
        file = tmp_path / "broker.toml"
        file.write_text(example, encoding="utf-8")
        trio_mqtt.configuration.load(file, environment={})


def test_what_is_said_of_a_wrong_configuration_is_said(tmp_path: Path) -> None:
    text = (DOCS / CONFIGURATION).read_text(encoding="utf-8")
    said = re.findall(r"^Error: (broker.toml, line .*|TMQTT_.*)$", text, re.MULTILINE)
    file = tmp_path / "broker.toml"
    wrong = 'maximum_packet_size = "large"\nconect_timeout = "5s"\n'
    file.write_text(f"{chr(10) * 14}[limits]\n{wrong}", encoding="utf-8")
    with pytest.raises(trio_mqtt.configuration.InvalidConfiguration) as caught:
        trio_mqtt.configuration.load(file, environment={"TMQTT_OPTIONS__MAXIMUM_QOS": "3"})
    assert str(caught.value).replace(f"{tmp_path}/", "").splitlines() == said
