"""The pytest plugin: the fixtures in tests of every kind, and no cost for those without them."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A folder for another project's tests, where the plugin is installed as here declared."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    installed = tmp_path / "installed" / "plugin_of_these_tests-1.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: plugin-of-these-tests\nVersion: 1\n"
    )
    plugins = project["entry-points"]["pytest11"]
    (installed / "entry_points.txt").write_text(
        "[pytest11]\n" + "".join(f"{name} = {module}\n" for name, module in plugins.items())
    )
    tests = tmp_path / "suite"
    tests.mkdir()
    return tests


def run(suite: Path, program: str, *options: str) -> str:
    """Run pytest on a program, warnings being errors; what it said, if all passed."""
    (suite / "test_it.py").write_text(textwrap.dedent(program))
    (suite / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    paths = [str(suite.parent / "installed"), os.environ.get("PYTHONPATH", "")]
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-m", "pytest", "-p", "no:cacheprovider", *options],
        cwd=suite,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_synchronous_tests_get_a_broker_and_clients_of_it(suite: Path) -> None:
    said = run(
        suite,
        """
        import socket

        def test_broker(mqtt_broker):
            assert mqtt_broker.url == f"mqtt://{mqtt_broker.host}:{mqtt_broker.port}"
            socket.create_connection((mqtt_broker.host, mqtt_broker.port)).close()

        def test_client(mqtt_broker, mqtt_client):
            with mqtt_client(client_id="one") as client, mqtt_client() as other:
                assert client.client_id == "one"
                assert client.url == mqtt_broker.url
                other.publish("t", "kept", retain=True, qos=1)
                with client.subscribe("t") as messages:
                    assert messages.get(timeout=60).text == "kept"

        def test_each_test_has_a_broker_of_its_own(mqtt_client):
            with mqtt_client() as client, client.subscribe("t") as messages:
                assert list(messages.until_quiet(0.1)) == []
        """,
    )
    assert "3 passed" in said


ASYNC_TEST = """
async def test_client(mqtt_broker, mqtt_client):
    async with mqtt_client() as client, client.subscribe("t", qos=1) as messages:
        assert client.url == mqtt_broker.url
        await client.publish("t", "hello", qos=1)
        assert (await anext(messages)).text == "hello"
"""


def test_tests_of_pytest_trio_get_the_asynchronous_client(suite: Path) -> None:
    assert "1 passed" in run(suite, f"import pytest\n\n@pytest.mark.trio{ASYNC_TEST}")


def test_tests_of_anyio_get_it_on_both_event_loops(suite: Path) -> None:
    assert "2 passed" in run(
        suite,
        f"import pytest\n\npytestmark = pytest.mark.anyio\n{ASYNC_TEST}",
        # pytest-trio would otherwise run what has no marker of its own.
        "-p",
        "no:trio",
    )


def test_asyncio_without_any_plugin_gets_it_too(suite: Path) -> None:
    program = f"""
import asyncio
{ASYNC_TEST.replace("test_client", "use_client")}
def test_it(mqtt_broker, mqtt_client):
    asyncio.run(use_client(mqtt_broker, mqtt_client))
"""
    assert "1 passed" in run(suite, program)


def test_a_paho_program_can_be_tested(suite: Path) -> None:
    page = (ROOT / "docs" / "how-to" / "testing.md").read_text(encoding="utf-8")
    program = next(
        block.partition("```")[0] for block in page.split("```python\n") if "import paho" in block
    )
    assert "1 passed" in run(suite, program)


def test_nothing_is_imported_before_a_fixture_is_used(suite: Path) -> None:
    said = run(
        suite,
        """
        import sys

        def loaded():
            return sorted(
                name for name in sys.modules if name.split(".")[0] in ("trio_mqtt", "trio", "anyio")
            )

        def test_before():
            assert loaded() == ["trio_mqtt", "trio_mqtt.lazy_names", "trio_mqtt.pytest_plugin"]

        def test_then(mqtt_broker):
            assert "trio_mqtt.broker.broker" in loaded()
        """,
        *("-p", "no:anyio", "-p", "no:trio", "-p", "no:hypothesispytest", "-p", "no:asyncio"),
    )
    assert "2 passed" in said


def test_the_fixtures_say_what_they_are(suite: Path) -> None:
    said = run(suite, "def test(): pass", "--fixtures", "-v")
    for name, words in (("mqtt_broker", "free port"), ("mqtt_client", "async with")):
        assert words in said.partition(f"\n{name}")[2]
