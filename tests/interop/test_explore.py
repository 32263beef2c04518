"""`tmqtt explore` at a broker that is not ours."""

from __future__ import annotations

from tests.cli.programs import Program, shows
from trio_mqtt import sync

from .peers import Server


def test_topics_of_mosquitto_are_seen_and_forgotten(mosquitto: Server, topic: str) -> None:
    url = f"mqtt://{mosquitto.host}:{mosquitto.port}"
    with sync.open_client(url) as client:
        client.publish(f"{topic}/sensor", b'{"t": 20}', qos=1, retain=True)
        with Program("explore", f"{topic}/#", "-b", url, terminal=True, columns=120) as explore:
            shows(explore, 120, r".* · 1 topic .*")
            client.publish(f"{topic}/sensor", b'{"t": 25}', qos=1, retain=True)
            explore.type("G")
            shows(explore, 120, r".*│ +\.t 20 to 25")
            explore.type("D")
            shows(explore, 120, r"Forget the retained message of .*/sensor\?.*")
            explore.type("y")
            shows(explore, 120, r".*│ \(empty\)")
            explore.type("q")
            assert explore.ended() == 0
        with client.subscribe(f"{topic}/#") as messages:
            client.publish(f"{topic}/end", b"", qos=1)
            assert next(messages).topic == f"{topic}/end"
