"""`tmqtt broker --config`: what the file says holds, and holds anew at SIGHUP."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.cli.broker.seen import sees
from tests.cli.programs import Program
from trio_mqtt import ScramClient, sync
from trio_mqtt.access import set_password
from trio_mqtt.errors import DisconnectedByBrokerError, MqttError, RequestRefusedError

TEXT = """\
[[listeners]]
url = "mqtt://127.0.0.1:0"
[limits]
maximum_connections = 1
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "broker.toml"
    path.write_text(TEXT, encoding="utf-8")
    return path


def url_of(broker: Program) -> str:
    return broker.out.expect(r"Listening at (mqtt://127.0.0.1:[1-9]\d*)")[1]


@pytest.mark.slow
def test_hints_are_of_the_file_where_there_is_one(file: Path) -> None:
    with Program("broker", "--config", str(file)) as broker:
        broker.out.expect(
            rf"end with it: storage\.path in {file} keeps them\.\n"
            rf".*To let others in, listen at mqtt://0\.0\.0\.0: url of \[\[listeners\]\],"
            rf" and access\.passwords, in {file}\.\n"
        )
        assert broker.stop() == 0
        assert "--" not in broker.out.text
    with file.open("a", encoding="utf-8") as opened:
        opened.write("[access]\nallow_anonymous = true\n")
    with Program("broker", "--config", str(file), "mqtt://0.0.0.0:0") as broker:
        broker.out.expect(rf"without a password\. access\.passwords in {file} changes that\.\n")
        assert broker.stop() == 0


@pytest.mark.slow
def test_who_would_be_open_to_all_is_told_what_the_file_may_say(file: Path) -> None:
    file.write_text(TEXT.replace("127.0.0.1", "[::]"), encoding="utf-8")
    with Program("broker", "--config", str(file)) as broker:
        assert broker.ended() in (1, 2)
        assert "access.passwords in a configuration" in broker.err.text
        assert broker.err.text.endswith("access.allow_anonymous, allow_anonymous=True).\n")


@sees("limits.maximum_connections")
@pytest.mark.slow
@pytest.mark.parametrize("terminal", [True, False])
def test_the_file_holds_and_holds_anew_when_it_is_read_again(file: Path, terminal: bool) -> None:
    with Program("broker", "--config", str(file), terminal=terminal) as broker:
        url = url_of(broker)
        with sync.open_client(url):
            with pytest.raises(MqttError), sync.open_client(url):
                pass
            file.write_text(TEXT.replace("= 1", "= 2"), encoding="utf-8")
            broker.process.send_signal(signal.SIGHUP)
            broker.out.expect(r"limits.maximum_connections is 2 \(.*, line 4\); it was 1 before\.")
            broker.out.expect(r"The settings were read again\.")
            with sync.open_client(url):
                pass
            file.write_text(TEXT + "[storage]\npath = 'data'\ncolour = 'red'\n", encoding="utf-8")
            broker.process.send_signal(signal.SIGHUP)
            stream = broker.out if terminal else broker.err
            stream.expect(
                r"line 7: There is no setting storage.colour\..*The settings stay as they"
            )
            file.write_text(TEXT + "[storage]\npath = 'data'\n", encoding="utf-8")
            broker.process.send_signal(signal.SIGHUP)
            stream.expect(r"storage.path is .* That holds only after a new start\.")
        assert broker.stop() == 0


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names")
@pytest.mark.parametrize("terminal", [True, False])
def test_it_ends_though_the_file_that_it_reads_again_does_not_answer(
    file: Path, terminal: bool
) -> None:
    with Program("broker", "--config", str(file), terminal=terminal) as broker:
        url_of(broker)
        file.unlink()
        os.mkfifo(file)
        broker.process.send_signal(signal.SIGHUP)
        # Opening it succeeds when the broker reads it, which then waits for what never comes.
        with file.open("wb"):
            assert broker.stop() == 0


@pytest.mark.slow
def test_options_and_variables_go_over_the_file(file: Path) -> None:
    variables = {"TMQTT_BROKER_CONFIG": str(file), "TMQTT_LIMITS__MAXIMUM_CONNECTIONS": "3"}
    options = ("--set", "options.maximum_qos=1", "--allow-anonymous", "mqtt://127.0.0.1:0")
    with Program("broker", *options, environment=variables) as broker:
        url = url_of(broker)
        with (
            sync.open_client(url),
            sync.open_client(url),
            sync.open_client(url),
            pytest.raises(MqttError),
            sync.open_client(url),
        ):
            pass
        assert broker.stop() == 0


@pytest.mark.parametrize(
    ("options", "sentences"),
    [
        (
            ["--set", "limits.write_buffer=lots", "--set", "limit.x=1", "--jwt-audience", "a"],
            [
                (
                    "--set limits.write_buffer: limits.write_buffer is a whole number of bytes,"
                    ' or a size such as "16 MiB", not "lots".'
                ),
                "--set limit.x: There is no setting limit. Did you mean limits?",
                (
                    "--jwt-audience: access.tokens.keys is missing."
                    " A file: the keys by which tokens are verified (PEM, JWKS or a secret)."
                ),
            ],
        ),
        (["--set", "nonsense"], ["--set nonsense: write --set NAME=VALUE"]),
        (["--config", "/none.toml"], ["The configuration file /none.toml cannot be read: No such"]),
    ],
)
def test_what_is_wrong_is_said_before_anything_begins(
    options: list[str], sentences: list[str]
) -> None:
    with Program("broker", "mqtt://127.0.0.1:0", *options) as broker:
        assert broker.ended() == 2
        said = broker.err.text.splitlines()
        assert len(said) == len(sentences)
        for sentence in sentences:
            assert any(line.startswith(f"Error: {sentence}") for line in said), said


@pytest.mark.slow
def test_options_of_listeners_are_for_urls(file: Path) -> None:
    with Program("broker", "--config", str(file), "--cert", "x.pem") as broker:
        assert broker.ended() == 2
        assert "write them there, below [[listeners]]" in broker.err.text


@sees("plugins.folder", "plugins.hooks.factory", "plugins.hooks.settings")
@pytest.mark.slow
def test_a_plugin_beside_the_file_decides(file: Path) -> None:
    (file.parent / "doorkeeper.py").write_text(
        "from trio_mqtt.access import AccessHooks, AccessRefused\n"
        "class Doorkeeper(AccessHooks):\n"
        "    def __init__(self, stranger):\n"
        "        self.stranger = stranger\n"
        "    async def authorize_publish(self, client, message):\n"
        "        if client.client_id == self.stranger:\n"
        "            return AccessRefused()\n"
        "        return message\n",
        encoding="utf-8",
    )
    file.write_text(
        TEXT + "[plugins]\nfolder = '.'\n[plugins.hooks]\nfactory = 'doorkeeper:Doorkeeper'\n"
        "settings = { stranger = 'stranger' }\n",
        encoding="utf-8",
    )
    with Program("broker", "--config", str(file)) as broker:
        url = url_of(broker)
        with sync.open_client(url, client_id="friend") as client:
            client.publish("a", "b", qos=1)
        with (
            sync.open_client(url, client_id="stranger") as client,
            pytest.raises(RequestRefusedError),
        ):
            client.publish("a", "b", qos=1)
        assert broker.stop() == 0


@sees("listeners.access.scram.users", "listeners.access.authentication_required")
@pytest.mark.slow
def test_each_listener_is_entered_by_its_own_method(file: Path) -> None:
    required = (
        "access.authentication_required = true\n[listeners.access.scram]\nusers.alice = 'hers'\n"
    )
    set_password(file.parent / "users", "alice", b"right", create=True)
    listener = '[[listeners]]\nurl = "mqtt://127.0.0.1:0"\n'
    file.write_text(f"{listener}access.passwords = 'users'\n{listener}{required}", encoding="utf-8")
    file.chmod(0o600)
    ways = (("right",), ("hers", "--scram"))
    with Program("broker", "--config", str(file)) as broker:
        at = r"Listening at (mqtt://127.0.0.1:[1-9]\d*)"
        urls = broker.out.expect(rf"(?s){at}.*{at}").groups()
        for url, right in zip(urls, ways, strict=True):
            for way in ways:
                password, *scram = way
                options = ("-b", url, "-u", "alice", "-P", password, *scram)
                with Program("pub", *options, "topic", "-m", "hello") as pub:
                    assert (pub.ended() == 0) is (way is right), pub.err.text

        def stay() -> None:
            alice = ScramClient("alice", "hers")
            with (
                sync.open_client(urls[1], authentication=alice, reconnect=False) as client,
                client.subscribe("topic") as messages,
            ):
                file.write_text(listener * 2, encoding="utf-8")
                broker.process.send_signal(signal.SIGHUP)
                next(messages)

        # Who came by a method is sent away once it is gone.
        with pytest.raises(DisconnectedByBrokerError, match="method is no longer offered"):
            stay()
        assert broker.stop() == 0
