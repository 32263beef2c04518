"""What `tmqtt top` makes of a broker's $SYS topics, whatever they say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from tmqtt.terminal import looks
from tmqtt.top.layout import one_line, screen
from tmqtt.top.readings import SETTLE, Readings


def tell(readings: Readings, now: float, **values: object) -> None:
    """A round as a broker tells it, the uptime first; `__` stands for a slash, `_` for a space."""
    readings.take("$SYS/broker/uptime", f"{now:.0f} seconds".encode(), now)
    for name, value in values.items():
        topic = name.replace("__", "/").replace("_", " ")
        readings.take(f"$SYS/broker/{topic}", str(value).encode(), now)
    assert readings.settle(now + 2 * SETTLE)


def texts(readings: Readings, width: int = 80, height: int = 24) -> list[str]:
    lines = screen(readings, "mqtt://b:1883", "q ends it.", width, height, unicode=True)
    return [looks.plain(line) for line in lines]


def test_rates_are_the_growth_between_two_rounds() -> None:
    readings = Readings()
    tell(readings, 10.0, publish__messages__received=100, bytes__sent=1_000)
    assert readings.rates == {}
    tell(readings, 20.0, publish__messages__received=250)
    assert readings.rates == {"messages_received": 15.0, "bytes_sent": 0.0}
    assert readings.interval == 10.0
    assert list(readings.history["messages_received"]) == [15.0]


def test_of_a_round_that_was_retained_the_uptime_says_when_it_was() -> None:
    readings = Readings()
    for name, value in (("uptime", b"100 seconds"), ("bytes/sent", b"1000")):
        readings.take(f"$SYS/broker/{name}", value, 57.0, retained=True)
    assert readings.settle(58.0)
    tell(readings, 60.0, uptime="110 seconds", bytes__sent=2_000)  # told 3 s later, of 10 s
    assert readings.interval == 10.0
    assert readings.rates == {"bytes_sent": 100.0}
    tell(readings, 70.0, uptime="120 seconds", bytes__sent=2_500)
    assert readings.rates == {"bytes_sent": 50.0}


def test_until_there_are_rates_the_average_of_a_minute_stands_for_them() -> None:
    readings = Readings()
    tell(
        readings, 10.0, publish__messages__received=100, load__publish__received__1min=120,
        publish__messages__dropped=0,
    )  # fmt: skip
    shown = texts(readings)
    assert next(line.split() for line in shown if line.startswith("messages in ")) == [
        "messages", "in", "~2.0/s", "100",
    ]  # fmt: skip
    assert [line.split() for line in shown if line.startswith("dropped")] == [["dropped", "…", "0"]]
    assert shown[-1] == "q ends it. ~: its average of a minute, until its next news."
    tell(readings, 20.0, publish__messages__received=100)
    assert "0/s" in next(line.split() for line in texts(readings) if "messages in " in line)
    assert not any("~" in line for line in texts(readings))


@pytest.mark.parametrize("width", [40, 60])
def test_in_narrow_terminals_figures_are_whole_or_not_there(width: int) -> None:
    readings = Readings()
    values = {"clients__connected": 1_234, "clients__maximum": 5_678, "clients__expired": 91_011}
    tell(readings, 10.0, version="mosquitto version 2.0.11", bytes__sent=0, **values)
    tell(readings, 20.0, bytes__sent=10 * 123_456_789, load__bytes__sent__15min=987_654_321)
    lines = texts(readings, width)
    assert max(cell_len(line) for line in lines) < width
    assert lines[0].endswith("  up 20 s")
    assert any("123.5 MB/s" in line for line in lines)
    assert any("987.7 MB" in line for line in lines)


def test_a_round_counts_once_it_has_come_in_whole() -> None:
    readings = Readings()
    readings.take("$SYS/broker/uptime", b"1 seconds", 1.0)
    assert not readings.settle(1.0)
    assert readings.settle(1.0 + 2 * SETTLE)
    assert not readings.settle(9.0)


def test_a_broker_that_began_anew_has_no_rate_until_the_next_round() -> None:
    readings = Readings()
    tell(readings, 10.0, bytes__sent=1_000)
    tell(readings, 11.0, bytes__sent=1_500)
    tell(readings, 12.0, bytes__sent=10)
    assert "bytes_sent" not in readings.rates
    assert list(readings.history["bytes_sent"]) == [500.0, None]
    tell(readings, 13.0, bytes__sent=30)
    assert readings.rates["bytes_sent"] == 20.0


def test_names_of_older_and_other_brokers_are_known_too() -> None:
    readings = Readings()
    tell(readings, 1.0, messages__received=7, clients__active=3, messages__stored=9)
    assert readings.total("messages_received") == 7
    assert readings.level("clients_connected") == 3
    assert readings.level("stored_messages") == 9
    tell(readings, 2.0, publish__messages__received=5)
    assert readings.total("messages_received") == 5


def test_fewer_than_none_is_none() -> None:
    readings = Readings()
    tell(readings, 1.0, clients__disconnected=-1)
    assert readings.level("clients_disconnected") == 0


def test_the_screen_says_how_things_stand() -> None:
    readings = Readings()
    values = {
        "clients__connected": 12,
        "subscriptions__count": 1_234,
        "retained_messages__count": 5,
    }
    tell(readings, 10.0, version="mosquitto version 2.0.11", publish__messages__sent=0, **values)
    for second in range(11, 19):
        tell(readings, second, publish__messages__sent=(second - 10) ** 3 * 100)
    shown = texts(readings)
    assert len(shown) == 24
    assert shown[0] == "mosquitto version 2.0.11 at mqtt://b:1883  up 18 s"
    assert "clients         12 connected" in shown
    assert "subscriptions   1,234" in shown
    assert "retained        5 messages" in shown
    (sent,) = [line for line in shown if line.startswith("messages out") and "/s" in line]
    assert sent.split()[:4] == ["messages", "out", "16,900/s", "51,200"]
    assert sent.split()[4].startswith("▁▁")
    assert sent.endswith("█")
    assert shown[-1] == "q ends it. It tells news every 1 s."
    assert one_line(readings).startswith("12 clients · 1,234 subscriptions · 5 retained · - in")


@given(
    st.dictionaries(
        st.sampled_from(
            ["version", "uptime", "clients/connected", "bytes/sent", "load/bytes/sent/1min",
             "retained messages/count", "store/messages/bytes", "publish/messages/dropped"]
        ),
        st.binary(max_size=20) | st.sampled_from([b"1e308", b"-1e300", b"nan", b"inf", b"9" * 40]),
    ),
    st.integers(1, 300),
    st.integers(1, 60),
)  # fmt: skip
def test_no_value_breaks_the_screen_or_steers_the_terminal(
    values: dict[str, bytes], width: int, height: int
) -> None:
    readings = Readings()
    for now in (1.0, 2.0):
        for name, value in values.items():
            readings.take(f"$SYS/broker/{name}", value, now)
        readings.settle(now + 2 * SETTLE)
    shown = texts(readings, width, height)
    assert len(shown) == height
    assert all(line.isprintable() for line in [*shown, one_line(readings)])
    assert len(one_line(readings)) < 200
    readings.snapshot()


def test_eighty_columns_are_enough_for_every_line() -> None:
    readings = Readings()
    huge = dict.fromkeys(
        ("publish__messages__sent", "bytes__sent", "clients__connected", "load__bytes__sent__1min"),
        123_456_789_012,
    )
    tell(readings, 10.0, version="mosquitto version 2.0.11", **dict.fromkeys(huge, 0))
    for second in range(11, 200):
        tell(readings, second, **{name: value * (second - 10) for name, value in huge.items()})
    assert max(cell_len(line) for line in texts(readings)) <= 79


def test_a_node_of_a_cluster_tells_of_all_of_it() -> None:
    readings = Readings()
    tell(readings, 10.0, clients__connected=7)
    assert not [text for text in texts(readings) if text.startswith("cluster")]
    tell(
        readings, 20.0, cluster__nodes__count=3, cluster__clients__connected=1200,
        cluster__sessions__count=1203, cluster__publish__received=850.5, cluster__publish__sent=9,
    )  # fmt: skip
    (line,) = (text for text in texts(readings) if text.startswith("cluster"))
    assert line.split(maxsplit=1)[1] == (
        "3 nodes · 1,200 clients · 850/s in · 9.0/s out · 1,203 sessions"
    )
    assert readings.snapshot()["cluster_nodes"] == 3
