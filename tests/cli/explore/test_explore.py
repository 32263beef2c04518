"""`tmqtt explore` in a terminal, and where there is none."""

from __future__ import annotations

import json

import pytest

from tests.cli.programs import LEAVE_SCREEN, Program, running_broker, shows
from trio_mqtt import sync

pytestmark = pytest.mark.slow


def test_a_person_goes_through_the_topics_publishes_and_removes() -> None:
    with running_broker() as (_, url), sync.open_client(url) as client:
        for number in range(3):
            payload = json.dumps({"t": 20 + number}).encode()
            client.publish("home/kitchen/sensor", payload, qos=1, retain=True)
        with Program("explore", "-b", url, terminal=True, columns=120) as explore:
            shows(explore, 120, r"# · 1 topic .*")
            client.publish("home/kitchen/sensor", b'{"t": 25}', qos=1)
            for number in range(300):
                client.publish(f"many/{number}", b"x", qos=1)
            shows(explore, 120, r"# · 301 topics .*")
            explore.type("/sensor\r")
            shows(explore, 120, r"/sensor · 1 to 3 of 3 .*")
            explore.type("G")
            shows(explore, 120, r".*│ +\.t 22 to 25")
            explore.type("p")
            shows(explore, 120, r"payload +\{\"t\": 25\}.*")
            explore.type("\x15on\t1\r")
            shows(explore, 120, r"Published to home/kitchen/sensor\.")
            shows(explore, 120, r".*│ on")
            explore.type("D")
            shows(explore, 120, r"Forget the retained message of home/kitchen/sensor\?.*")
            explore.type("y")
            shows(explore, 120, r".*│ \(empty\)")
            explore.type("q")
            assert explore.ended() == 0
        left = explore.out.data.rpartition(LEAVE_SCREEN)[2].decode()
        assert "kitchen" in left
        with client.subscribe("#") as messages:
            client.publish("end", b"", qos=1)
            assert next(iter(messages)).topic == "end"  # nothing is retained any more
    assert "Traceback" not in explore.out.text


def test_a_person_sees_clients_and_slow_readers_and_disconnects_one(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = str(tmp_path_factory.mktemp("x"))  # short enough for a socket
    web = ("--web", "127.0.0.1:0", "--data", folder)
    with Program("broker", "mqtt://127.0.0.1:0", *web) as broker:
        url = broker.out.expect(r"Listening at (\S+)\n")[1]
        broker.out.expect(r"with the API at ")
        with (
            sync.open_client(url, client_id="lamp-7"),
            Program("explore", "-b", url, "--api", folder, terminal=True, columns=120) as explore,
        ):
            shows(explore, 120, r"# · 0 topics .*")
            explore.type("C")
            shows(explore, 120, r"lamp-7 +connected .*127\.0\.0\.1:\d+.*")
            shows(explore, 120, r"2 clients by name .*")
            explore.type("s")
            shows(explore, 120, r"0 slow readers by name .*")
            explore.type("s/AMP\r")
            shows(explore, 120, r"/AMP · 1 to 1 of 1 · 1 clients by name .*")
            explore.type("\r")
            shows(explore, 120, r"Session lasts .*|Keep alive .*")
            explore.type("\x1bx")
            shows(explore, 120, r"Disconnect lamp-7\? y does it\.")
            explore.type("y")
            shows(explore, 120, r"lamp-7 is disconnected\.")
            broker.out.expect("lamp-7 disconnected")
            explore.type("C")
            shows(explore, 120, r"# · 0 topics .*")
            explore.type("q")
            assert explore.ended() == 0
        assert broker.stop() == 0
    assert "Traceback" not in explore.out.text


def test_without_a_screen_it_says_what_to_do() -> None:
    with Program("explore", "-b", "mqtt://127.0.0.1:1") as explore:
        assert explore.ended() == 2
        assert "needs a terminal" in explore.err.text
        assert "sub --tree" in explore.err.text
    with Program("explore", "a/#/b", "--plot", "[", terminal=True, columns=80) as explore:
        assert explore.ended() == 2
        assert "not the way to a field" in explore.out.text
