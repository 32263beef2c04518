"""What is measured: the table of scenarios, and what trio-mqtt must reach in them."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of load.

    `options` are those of load.c. `cpu_ratio` is how many times less CPU per delivered message than
    Mosquitto trio-mqtt must take in the same run, or None where nothing is required. `screen` says
    whether trio-mqtt is also measured with its screen on, `rules` whether with an access file.
    `durable` is what is measured of brokers that keep what they acknowledge; see durable.py. `each`
    is how many of what is counted an idle connection brings, `least` the seconds of a run at least:
    few messages a second take their time to make a tenth of a second of the processor's. `mqtt_5`
    says whether only brokers with MQTT 5 can be measured.
    """

    name: str
    title: str
    options: str
    kind: Literal["traffic", "idle"] = "traffic"
    transport: Literal["tcp", "tls", "websocket"] = "tcp"
    cpu_ratio: float | None = None
    screen: bool = False
    rules: bool = False
    durable: Literal["online", "away", "alone", "beside", "restart"] | None = None
    each: int = 1
    mqtt_5: bool = False
    least: float = 0.0


# With the screen on, a broker must keep this share of its CPU figure and of its rate.
SCREEN_SHARE = 0.9
# And with an access file of 1,000 rules this share.
RULES_SHARE = 0.8
# A broker that keeps what it acknowledges must reach Mosquitto's rate in memory; one
# acknowledgement alone may take so much longer than the disk's own fsync, in microseconds; and the
# latency of others, at the 99th percentile, may be so many times what it is without it.
ALONE_BEYOND_FSYNC = 1000.0
BESIDE_TIMES = 2.0

SCENARIOS = (
    Scenario(
        "one-to-one-qos0",
        "1 publisher to 1 subscriber, QoS 0, 64 bytes",
        "publishers=1 subscribers=1",
        cpu_ratio=6.0,
        screen=True,
        rules=True,
    ),
    Scenario(
        "one-to-one-qos1",
        "1 publisher to 1 subscriber, QoS 1, window 64, 64 bytes",
        "publishers=1 subscribers=1 qos=1 window=64",
        cpu_ratio=2.5,
        screen=True,
        rules=True,
    ),
    Scenario(
        "alternate-100",
        "1 publisher to 1 subscriber of bench/+, over 100 topics in turn, QoS 0, 64 bytes",
        "publishers=1 subscribers=1 alternate=100 filter=bench/+",
    ),
    Scenario(
        "alternate-100-qos1",
        "1 publisher to 1 subscriber of bench/+, over 100 topics in turn, QoS 1, window 64,"
        " 64 bytes",
        "publishers=1 subscribers=1 alternate=100 filter=bench/+ qos=1 window=64",
    ),
    # Where no message goes on as it came.
    Scenario(
        "identifier-qos0",
        "1 publisher of MQTT 3.1.1 to 1 subscriber of MQTT 5 with a subscription identifier, QoS 0,"
        " 64 bytes",
        "publishers=1 subscribers=1 identifier=7",
        mqtt_5=True,
    ),
    Scenario(
        "identifier-qos1",
        "1 publisher of MQTT 3.1.1 to 1 subscriber of MQTT 5 with a subscription identifier, QoS 1,"
        " window 64, 64 bytes",
        "publishers=1 subscribers=1 identifier=7 qos=1 window=64",
        mqtt_5=True,
    ),
    # Where each topic comes around before it is forgotten, and where others have filters too.
    Scenario(
        "match-10000",
        "1 publisher to 1 subscriber of bench/+, over 10000 topics in turn, QoS 0, 64 bytes, beside"
        " 100000 other filters",
        "publishers=1 subscribers=1 alternate=10000 filter=bench/+ filters=100000",
    ),
    Scenario(
        "one-to-one-tls",
        "1 publisher to 1 subscriber, QoS 0, 64 bytes, through TLS",
        "publishers=1 subscribers=1 tls=1",
        transport="tls",
        cpu_ratio=1.0,
    ),
    Scenario(
        "one-to-one-websocket",
        "1 publisher to 1 subscriber, QoS 0, 64 bytes, through WebSocket, a frame for each packet",
        "publishers=1 subscribers=1 websocket=1",
        transport="websocket",
        cpu_ratio=1.0,
    ),
    Scenario(
        "one-to-one-qos2",
        "1 publisher to 1 subscriber, QoS 2, window 64, 64 bytes",
        "publishers=1 subscribers=1 qos=2 window=64",
    ),
    Scenario(
        "fan-out-10",
        "1 publisher to 10 subscribers, QoS 0, 64 bytes",
        "publishers=1 subscribers=10",
        cpu_ratio=10.0,
        screen=True,
        rules=True,
    ),
    Scenario(
        "fan-out-100-qos1",
        "1 publisher to 100 subscribers, QoS 1, window 16, 64 bytes",
        "publishers=1 subscribers=100 qos=1 window=16",
    ),
    Scenario(
        "fan-out-1000",
        "1 publisher to 1000 subscribers, QoS 0, 64 bytes",
        "publishers=1 subscribers=1000 window=16 ahead=300",
    ),
    Scenario(
        "fan-out-1000-paced",
        "1 publisher to 1000 subscribers, QoS 0, 64 bytes, 30 messages a second",
        "publishers=1 subscribers=1000 rate=30",
    ),
    Scenario(
        "fan-in-10",
        "10 publishers to 1 subscriber, QoS 0, 64 bytes",
        "publishers=10 subscribers=1",
    ),
    Scenario(
        "wildcard-fan-in",
        "100 publishers on 100 topics to 1 subscriber of bench/#, QoS 0, 64 bytes",
        "publishers=100 subscribers=1 topics=100 filter=bench/#",
    ),
    Scenario(
        "pairs-200",
        "200 publishers to 200 subscribers in pairs, QoS 0, 64 bytes",
        "publishers=200 subscribers=200 topics=200",
        cpu_ratio=3.0,
        screen=True,
    ),
    Scenario(
        "pairs-200-qos1",
        "200 publishers to 200 subscribers in pairs, QoS 1, window 1, 64 bytes",
        "publishers=200 subscribers=200 topics=200 qos=1 window=1",
        cpu_ratio=0.3,
        screen=True,
    ),
    Scenario(
        "payload-64k",
        "1 publisher to 1 subscriber, QoS 0, 64 KiB",
        "publishers=1 subscribers=1 size=65536 window=4 ahead=200",
    ),
    Scenario(
        "latency-1000",
        "10 publishers to 10 subscribers in pairs, QoS 0, 64 bytes, 1000 messages a second",
        "publishers=10 subscribers=10 topics=10 rate=1000",
        least=4.0,
    ),
    Scenario(
        "day-10-pairs",
        "10 publishers to 10 subscribers in pairs, QoS 1, 64 bytes, each 100 messages a second",
        "publishers=10 subscribers=10 topics=10 qos=1 rate=1000",
        least=4.0,
    ),
    Scenario(
        "day-50-pairs",
        "50 publishers to 50 subscribers in pairs, QoS 1, 64 bytes, each 20 messages a second",
        "publishers=50 subscribers=50 topics=50 qos=1 rate=1000",
        least=4.0,
    ),
    Scenario(
        "day-fan-out-50",
        "1 publisher to 50 subscribers, QoS 0, 64 bytes, 50 messages a second",
        "publishers=1 subscribers=50 rate=50",
        least=4.0,
    ),
    Scenario(
        "idle-10000",
        "10000 connections that are open and say nothing",
        "connections=10000",
        kind="idle",
    ),
    Scenario(
        "idle-subscribed-10000",
        "10000 connections with a subscription each, to which nothing comes",
        "connections=10000 filters=1",
        kind="idle",
    ),
    Scenario(
        "filters-100000",
        "100000 topic filters of 20 connections, to which nothing comes",
        "connections=20 filters=5000",
        kind="idle",
        each=5_000,
    ),
    Scenario(
        "durable-online",
        "1 publisher to a durable session that is connected, QoS 1, window 64, 64 bytes",
        "publishers=1 subscribers=1 durable=1 qos=1 window=64 acknowledgements=1",
        durable="online",
    ),
    Scenario(
        "durable-online-10",
        "10 publishers to a durable session that is connected, QoS 1, window 64, 100 bytes",
        "publishers=10 subscribers=1 durable=1 qos=1 window=64 size=100 acknowledgements=1",
        durable="online",
    ),
    # No more than the queue of a session holds by default.
    Scenario(
        "durable-offline",
        "1 publisher to a durable session that is away, QoS 1, window 64, 64 bytes",
        "publishers=1 subscribers=1 durable=1 away=1 qos=1 window=64 acknowledgements=1"
        " messages=90000",
        durable="away",
    ),
    Scenario(
        "durable-offline-10",
        "10 publishers to a durable session that is away, QoS 1, window 64, 100 bytes",
        "publishers=10 subscribers=1 durable=1 away=1 qos=1 window=64 size=100 acknowledgements=1"
        " messages=90000",
        durable="away",
    ),
    Scenario(
        "durable-alone",
        "1 publisher to a durable session that is away, QoS 1, one message at a time, 64 bytes",
        "publishers=1 subscribers=1 durable=1 away=1 qos=1 window=1 acknowledgements=1"
        " messages=90000",
        durable="alone",
    ),
    Scenario(
        "durable-beside",
        "10 pairs, QoS 0, 1000 messages a second, beside durable-online and without it",
        "publishers=1 subscribers=1 durable=1 qos=1 window=64 beside=10 rate=1000",
        durable="beside",
    ),
    Scenario(
        "restart-1000",
        "kill -9 and start, while 1000 clients with durable sessions come back",
        "connections=1000 qos=1",
        durable="restart",
    ),
)
