"""What docs/how-to/home.md says, played with Home Assistant's client library."""

from __future__ import annotations

import json
import os
import queue
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import paho.mqtt.client as paho
import pytest
import yaml
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

import trio_mqtt
from tests.cli.programs import DEADLINE, Program
from trio_mqtt.access import AccessFile, set_password

PAGES = Path(__file__).parents[2] / "docs/how-to"
PAGE, ZIGBEE2MQTT, BOARDS = (
    (PAGES / name).read_text(encoding="utf-8") for name in ("home.md", "zigbee2mqtt.md", "esp32.md")
)
USERS = ("homeassistant", "zigbee2mqtt", "devices")
LAMP = "homeassistant/light/0x00158d0001/light/config"
DISCOVERY = [f"homeassistant/{level}/config" for level in ("+/+", "+/+/+")]

pytestmark = pytest.mark.slow


def block(language: str, beginning: str, page: str = PAGE) -> str:
    """The text in the page that begins so."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    (text,) = [text for text in found if text.startswith(beginning)]
    return str(text)


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    for number, user in enumerate(USERS):
        set_password(tmp_path / "users", user, user.encode(), create=number == 0)
    (tmp_path / "access.acl").write_text(block("text", "# Home Assistant"))
    text = block("toml", "[[listeners]]")
    for shown, own in (("0.0.0.0:1883", "127.0.0.1:0"), ("/var/lib/tmqtt", str(tmp_path / "data"))):
        assert text.count(f'{shown}"') == 1
        text = text.replace(f'{shown}"', f'{own}"')
    (tmp_path / "broker.toml").write_text(text)
    return tmp_path


@contextmanager
def broker(settings: Path) -> Iterator[tuple[Program, int]]:
    """A broker with the settings of the page, and its port."""
    with Program("broker", "--config", str(settings / "broker.toml")) as program:
        yield program, int(program.out.expect(r"Listening at mqtt://\S+:(\d+)\n")[1])


class Client:
    """One of the programs, by paho-mqtt in MQTT 3.1.1 unless told otherwise."""

    def __init__(self, user: str, port: int, *, version: int = paho.MQTTv311, **will: object):
        self.messages: queue.Queue[paho.MQTTMessage] = queue.Queue()
        self.granted: queue.Queue[list[int]] = queue.Queue()
        self.client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=user, protocol=MQTTProtocolVersion(version)
        )
        self.client.username_pw_set(user, user)
        if will:
            self.client.will_set(**will)  # type: ignore[arg-type]
        self.client.on_message = lambda _client, _data, message: self.messages.put(message)
        self.client.on_subscribe = lambda _client, _data, _number, codes, _properties: (
            self.granted.put([code.value for code in codes])
        )
        self.client.connect("127.0.0.1", port, keepalive=60)
        self.client.loop_start()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def subscribe(self, *filters: str, qos: int = 0) -> list[int]:
        """What the broker grants."""
        self.client.subscribe([(name, qos) for name in filters])
        return self.granted.get(timeout=DEADLINE)

    def publish(self, topic: str, payload: str, *, retain: bool = False, qos: int = 1) -> None:
        self.client.publish(topic, payload, qos=qos, retain=retain).wait_for_publish(DEADLINE)

    def next(self) -> tuple[str, str, bool]:
        message = self.messages.get(timeout=DEADLINE)
        return message.topic, message.payload.decode(), message.retain

    def vanish(self) -> None:
        """End without a goodbye."""
        sock = self.client.socket()
        assert sock is not None
        self.client.reconnect_delay_set(3_600, 3_600)
        with socket.socket(fileno=os.dup(sock.fileno())) as same:
            same.shutdown(socket.SHUT_RDWR)


def test_devices_are_found_also_after_the_broker_was_killed(settings: Path) -> None:
    config = json.dumps({"name": "lamp", "command_topic": "zigbee2mqtt/lamp/set"})
    with broker(settings) as (program, port):
        with Client("zigbee2mqtt", port) as bridge:
            bridge.publish(LAMP, config, retain=True)
            bridge.publish("zigbee2mqtt/bridge/state", '{"state":"online"}', retain=True)
        program.process.kill()
        program.process.wait()
    with broker(settings) as (_, port), Client("homeassistant", port) as home:
        assert home.subscribe(DISCOVERY[0]) == [0]
        assert home.subscribe(DISCOVERY[1]) == [0]
        assert home.next() == (LAMP, config, True)
        home.subscribe("zigbee2mqtt/bridge/state")
        assert home.next() == ("zigbee2mqtt/bridge/state", '{"state":"online"}', True)


@pytest.mark.parametrize("version", [paho.MQTTv311, paho.MQTTv5])
def test_home_assistant_and_zigbee2mqtt_hear_each_other(settings: Path, version: int) -> None:
    will = {
        "topic": "zigbee2mqtt/bridge/state",
        "payload": '{"state":"offline"}',
        "qos": 1,
        "retain": True,
    }
    with broker(settings) as (_, port), Client("homeassistant", port, version=version) as home:
        home.subscribe("zigbee2mqtt/#")
        bridge = Client("zigbee2mqtt", port, version=version, **will)
        codes = bridge.subscribe("zigbee2mqtt/#", "homeassistant/status", "hass/status")
        assert codes == [0, 0, 0]
        home.publish("homeassistant/status", "online")
        assert bridge.next() == ("homeassistant/status", "online", False)
        home.publish("zigbee2mqtt/lamp/set", '{"state":"ON"}', qos=0)
        assert bridge.next() == ("zigbee2mqtt/lamp/set", '{"state":"ON"}', False)
        assert home.next()[0] == "zigbee2mqtt/lamp/set"
        bridge.vanish()
        assert home.next() == ("zigbee2mqtt/bridge/state", '{"state":"offline"}', False)
        bridge.client.loop_stop()


def test_home_assistant_may_subscribe_to_as_much_at_once_as_it_does(settings: Path) -> None:
    assert trio_mqtt.Limits().maximum_filters_at_once >= 500
    with broker(settings) as (_, port), Client("homeassistant", port) as home:
        assert home.subscribe(*(f"home/{n}/state" for n in range(500))) == [0] * 500


def test_the_rules_let_each_do_its_work_and_no_more(settings: Path) -> None:
    rules = AccessFile.load(settings / "access.acl")

    def may(user: str, topic: str) -> set[str]:
        asked: tuple[Literal["publish", "receive"], ...] = ("publish", "receive")
        return {
            action
            for action in asked
            if rules.decide(action, topic=topic, client_id="x", username=user).allowed
        }

    both = {"publish", "receive"}
    assert may("homeassistant", "anything/at/all") == both
    assert may("zigbee2mqtt", "zigbee2mqtt/lamp/set") == both
    assert may("zigbee2mqtt", "homeassistant/light/a/config") == {"publish"}
    assert may("zigbee2mqtt", "homeassistant/status") == both
    assert may("zigbee2mqtt", "cmnd/kitchen/POWER") == set()
    assert may("devices", "cmnd/kitchen/POWER") == {"receive"}
    assert may("devices", "tele/kitchen/LWT") == {"publish"}
    assert may("devices", "esphome/kitchen/switch/relay/command") == both
    assert may("devices", "zigbee2mqtt/lamp/set") == set()


def test_retained_messages_can_be_taken_along(settings: Path, tmp_path: Path) -> None:
    (line,) = re.findall(r"^tmqtt (sub .* --record .*)$", PAGE, re.MULTILINE)
    (back,) = re.findall(r"^tmqtt (replay .*?)$", PAGE, re.MULTILINE)
    with broker(settings) as (_, old), Client("zigbee2mqtt", old) as bridge:
        bridge.publish(LAMP, "{}", retain=True)
        bridge.publish("zigbee2mqtt/bridge/info", "{}", retain=True)
        assert tmqtt(line, "old", old, tmp_path) == 0
    (tmp_path / "data/broker.sqlite3").unlink()
    with broker(settings) as (_, new):
        assert tmqtt(back, "new", new, tmp_path) == 0
        with Client("homeassistant", new) as home:
            home.subscribe("#")
            assert {home.next()[::2] for _ in range(2)} == {
                (LAMP, True),
                ("zigbee2mqtt/bridge/info", True),
            }


def tmqtt(line: str, name: str, port: int, folder: Path) -> int:
    """Run a command of the page, which asks for the password, at the broker called `name`."""
    words = [word.strip("'") for word in line.split()]
    words[words.index(f"mqtt://{name}")] = f"mqtt://127.0.0.1:{port}"
    words[words.index("-") - 1 :] = ["-P", "homeassistant"]  # no terminal is here to ask at
    return subprocess.run(
        [sys.executable, "-m", "tmqtt", *words], cwd=folder, timeout=60, check=False
    ).returncode


def test_what_is_shown_of_others_configurations_is_yaml() -> None:
    for page, beginning, keys in (
        (ZIGBEE2MQTT, "mqtt:\n  server", {"mqtt", "homeassistant"}),
        (BOARDS, "mqtt:\n  broker", {"mqtt"}),
    ):
        text = block("yaml", beginning, page).replace("!secret ", "")
        assert yaml.safe_load(text).keys() == keys
