"""The pytest plugin: the fixtures in tests of every kind, and no cost for those without them."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.ports import free_port

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


def run(suite: Path, program: str, *options: str, fails: bool = False) -> str:
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
        timeout=300,
        check=False,
    )
    assert ran.returncode == int(fails), ran.stdout + ran.stderr
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


def test_the_tests_on_the_page_pass(suite: Path) -> None:
    page = (ROOT / "docs" / "how-to" / "testing.md").read_text(encoding="utf-8")
    blocks = [block.partition("```")[0] for block in page.split("```python\n")[1:]]
    programs = [block for block in blocks if "def test_" in block]
    if find_spec("aiomqtt") is None:  # which comes with the extra `interop`
        programs = [block for block in programs if "import aiomqtt" not in block]
    for number, program in enumerate(programs):
        (suite / f"test_block_{number}.py").write_text(program)
    tests = sum(program.count("def test_") for program in programs)
    assert f"{tests} passed" in run(suite, "")


def test_the_marker_the_factory_and_other_scopes(suite: Path) -> None:
    (suite / "conftest.py").write_text(
        textwrap.dedent("""
        import pytest

        @pytest.fixture(scope="session")
        def mqtt_broker_options():
            return {"users": {"all": "secret"}}
        """)
    )
    said = run(
        suite,
        """
        import pytest
        import trio_mqtt

        pytestmark = pytest.mark.mqtt_broker(data=True)
        MANY = {"a": "1", "b": "2"}

        def test_options_of_all(mqtt_broker, mqtt_client):
            with pytest.raises(trio_mqtt.ConnectionRefusedByBrokerError):
                mqtt_client().__enter__()
            mqtt_broker.publish("kept", "1", qos=1, retain=True)
            mqtt_broker.kill()
            mqtt_broker.start()
            with mqtt_client(username="all", password="secret") as client:
                with client.subscribe("kept") as messages:
                    assert messages.get(timeout=60).text == "1"

        @pytest.mark.mqtt_broker(users=MANY)
        def test_options_of_one(mqtt_client):
            with mqtt_client(username="b", password="2"):
                pass

        @pytest.mark.mqtt_broker(data="disk")
        def test_a_folder(mqtt_broker, tmp_path_factory):
            folder = tmp_path_factory.getbasetemp() / "mqtt-broker0"
            assert (folder / "broker.sqlite3").exists()

        @pytest.mark.mqtt_broker(tls=True)
        def test_tls(mqtt_broker, mqtt_client):
            assert mqtt_broker.url.startswith("mqtts://127.0.0.1:")
            with mqtt_client(username="all", password="secret"):
                pass
            with pytest.raises(RuntimeError, match="sees no packets"):
                mqtt_broker.network.drop("PUBACK")

        @pytest.mark.parametrize(
            ("kind", "says"),
            [
                pytest.param(kind, says, marks=pytest.mark.mqtt_broker(tls=kind), id=kind)
                for kind, says in (
                    ("expired", "expired"),
                    ("not yet valid", "not valid yet"),
                    ("wrong host", "127.0.0.1"),
                    ("unknown authority", "authority|issuer|self|signed"),
                )
            ],
        )
        def test_what_clients_refuse(mqtt_client, kind, says):
            with pytest.raises(trio_mqtt.TlsError, match=says):
                mqtt_client().__enter__()

        def test_several(mqtt_broker_factory):
            with mqtt_broker_factory() as one, mqtt_broker_factory(users={}) as two:
                assert one.port != two.port

        class TestShared:
            def test_first(self, mqtt_broker_module, mqtt_broker_session):
                mqtt_broker_module.publish("a", "1", retain=True)
                mqtt_broker_session.publish("b", "1", retain=True)
                mqtt_broker_module.restart()

            def test_second(self, mqtt_broker_module, mqtt_broker_session):
                mqtt_broker_module.assert_published("a", count=1)
                mqtt_broker_session.assert_published("b", count=1)

        def test_network(mqtt_broker, mqtt_network):
            assert mqtt_network is mqtt_broker.network
            assert mqtt_network.port not in (0, mqtt_broker.port)
        """,
        *("-n", "1", "--strict-markers"),
    )
    assert "12 passed" in said


def test_a_failed_test_shows_what_happened(suite: Path) -> None:
    said = run(
        suite,
        """
        import pytest

        def test_one(mqtt_broker, mqtt_client):
            with mqtt_client(client_id="somebody") as client:
                client.publish("a", "1", qos=1)
            mqtt_broker.assert_published("b", within=0)

        @pytest.mark.mqtt_broker({"users": {}})
        def test_two(mqtt_broker):
            pass

        @pytest.mark.mqtt_broker(tls="wrong")
        def test_three(mqtt_broker):
            pass
        """,
        fails=True,
    )
    assert "1 failed, 2 errors" in said
    assert "- MQTT broker at mqtt://127.0.0.1:" in said
    assert "'somebody' (127.0.0.1:" in said
    assert "AssertionError: No message on 'b' came." in said
    # The test's own line is what is shown, none of the library's.
    assert "testing/portal.py" not in said
    assert "takes options by name, such as tls=True" in said
    assert "There is no certificate 'wrong'; there are 'valid', 'expired'" in said


def test_an_address_of_ones_own(suite: Path) -> None:
    url = f"mqtt://127.0.0.1:{free_port()}"
    program = f"""
        def test_it(mqtt_broker):
            assert mqtt_broker.url == "{url}"
    """
    assert "1 passed" in run(suite, program, "--mqtt-broker-url", url)


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
