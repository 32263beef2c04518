"""A person sees all of a quiet broker's traffic, and a sample and the count of a busy one's."""

from __future__ import annotations

import re

from tmqtt.broker.library_log import Notice
from tmqtt.broker.traffic import (
    EVENTS_A_SECOND,
    MESSAGES_A_SECOND,
    REFUSALS_A_SECOND,
    TURNED_AWAY_A_MINUTE,
    Rates,
    Traffic,
    status_line,
)
from tmqtt.terminal import looks

import trio_mqtt
from trio_mqtt.events import (
    BrokerEvent,
    ClientConnected,
    ClientDisconnected,
    ClientRefused,
    MessagePublished,
    Subscribed,
    Unsubscribed,
)

AT = ("12:00:00 ", "")


def message(
    client_id: str | None = "pub", payload: bytes = b"x", qos: int = 0, retain: bool = False
) -> MessagePublished:
    return MessagePublished(client_id, "test", payload, qos, retain)


def published(count: int) -> list[MessagePublished]:
    return [message()] * count


def shown(traffic: Traffic, *events: BrokerEvent | Notice, now: float = 0.0) -> list[str]:
    return [looks.plain(line)[9:] for line in traffic.lines(events, 0, 0, now, AT)]


def test_each_kind_of_event_is_a_line() -> None:
    assert shown(
        Traffic(0.0),
        ClientConnected("c1", "127.0.0.1:5", "3.1.1", "ann", True),
        Subscribed("c1", "a/+", 1),
        message("c1", b"hi"),
        message("c1", b"ho", 1, True),
        message(None, b"own"),
        Unsubscribed("c1", "a/+"),
        ClientDisconnected("c1", ""),
        ClientDisconnected("c2", "nothing came for 15 s"),
        ClientRefused("c2", "127.0.0.1:6", "not authorized"),
        ClientRefused("c2", "127.0.0.1:6", "wrong password", "ann"),
        ClientRefused(None, "127.0.0.1:7", "no CONNECT"),
    ) == [
        "c1 connected from 127.0.0.1:5, MQTT 3.1.1, user ann, session resumed",
        "c1 subscribed to a/+ (QoS 1)",
        "c1 → test hi",
        "c1 → test ho (QoS 1, retained)",
        "the broker → test own",
        "c1 unsubscribed from a/+",
        "c1 disconnected",
        "c2 disconnected: nothing came for 15 s",
        "c2 at 127.0.0.1:6 turned away: not authorized",
        "c2 at 127.0.0.1:6, user ann, turned away: wrong password",
        "127.0.0.1:7 turned away: no CONNECT",
    ]


def test_names_are_escaped_and_cut() -> None:
    (line,) = shown(Traffic(0.0), Subscribed("\x1b[2J" + "x" * 1000, "[red]a[/]", 0))
    assert line == "\\x1b[2J" + "x" * 96 + "… subscribed to [red]a[/]"


def test_a_busy_broker_shows_a_bounded_sample_and_counts_every_other_message() -> None:
    traffic = Traffic(0.0)
    lines = []
    for tick in range(100):  # ten seconds
        lines += traffic.lines([*published(60), *published(7)], 1_000, 0, tick / 10, AT)
    lines += traffic.left_out(AT)
    texts = [looks.plain(line) for line in lines]
    messages = [text for text in texts if "→ test" in text]
    left_out = [
        int(found[1].replace(",", ""))
        for text in texts
        if (found := re.search(r"… ([\d,]+) more messages not shown", text))
    ]
    assert len(messages) == 10 * MESSAGES_A_SECOND
    assert len(left_out) == 10
    assert len(messages) + sum(left_out) == 100 * 1_067


def test_a_storm_of_clients_is_counted_as_well() -> None:
    traffic = Traffic(0.0)
    storm = [ClientDisconnected(f"c{n}", "gone") for n in range(EVENTS_A_SECOND + 5)]
    assert len(shown(traffic, *storm)) == EVENTS_A_SECOND
    assert [looks.plain(line)[9:] for line in traffic.lines((), 0, 3, 1.0, AT)] == [
        "… 5 more client events not shown"
    ]
    assert [looks.plain(line)[9:] for line in traffic.left_out(AT)] == [
        "… 3 more client events not shown"
    ]


def test_those_who_come_and_go_hide_no_refusal_and_refusals_hide_nobody() -> None:
    traffic = Traffic(0.0)
    storm = [ClientDisconnected(f"c{n}", "gone") for n in range(1_000)]
    refused = [ClientRefused("c", "127.0.0.1:6", f"wrong {n}") for n in range(1_000)]
    texts = shown(traffic, *storm, *refused, Notice("c may not publish"))
    assert texts[EVENTS_A_SECOND] == "c at 127.0.0.1:6 turned away: wrong 0"
    assert len(texts) == EVENTS_A_SECOND + REFUSALS_A_SECOND
    assert [looks.plain(line)[9:] for line in traffic.left_out(AT)] == [
        f"… {1_000 - EVENTS_A_SECOND} more client events not shown",
        f"… {1_001 - REFUSALS_A_SECOND} more refusals not shown",
    ]
    assert shown(traffic, Notice("a\x1b may not"), now=1.0) == ["a\\x1b may not"]


def test_a_flood_of_clients_that_are_turned_away_fills_no_log() -> None:
    traffic = Traffic(0.0)
    texts: list[str] = []
    for tick in range(1_200):  # two minutes, in which 24,000 try
        flood = [ClientRefused("c", "127.0.0.1:6", "not authorized")] * 20
        texts += shown(traffic, *flood, now=tick / 10)
    texts += [looks.plain(line)[9:] for line in traffic.left_out(AT)]
    told = [text for text in texts if "turned away" in text]
    counts = [
        int(found[1].replace(",", ""))
        for text in texts
        if (found := re.search(r"… ([\d,]+) more refusals not shown", text))
    ]
    assert len(told) == 2 * TURNED_AWAY_A_MINUTE
    assert len(told) + sum(counts) == 24_000
    assert len(counts) <= 2 * (TURNED_AWAY_A_MINUTE // REFUSALS_A_SECOND)


def test_a_flood_that_is_turned_away_hides_nothing_that_is_refused_inside() -> None:
    traffic = Traffic(0.0)
    flood = [ClientRefused("c", "127.0.0.1:6", "not authorized")] * 20
    for second in range(10):
        shown(traffic, *flood, now=float(second))
    assert shown(traffic, *flood, Notice("c may not publish"), now=10.0) == ["c may not publish"]


def test_lines_of_refusals_may_begin_in_a_way_of_their_own() -> None:
    lines = Traffic(0.0).lines(
        [ClientDisconnected("c", ""), Notice("refused")],
        0,
        0,
        0,
        ("<6>", ""),
        ("<4>", ""),
    )
    assert [looks.plain(line) for line in lines] == ["<6>c disconnected", "<4>refused"]


def test_what_was_not_shown_at_its_time_is_counted_only() -> None:
    traffic = Traffic(0.0)
    traffic.hide([*published(3), ClientDisconnected("c", ""), Notice("refused")])
    assert [looks.plain(line)[9:] for line in traffic.left_out(AT)] == [
        "… 3 more messages not shown",
        "… 1 more client event not shown",
        "… 1 more refusal not shown",
    ]


def test_after_a_busy_second_messages_are_shown_again() -> None:
    traffic = Traffic(0.0)
    shown(traffic, *published(100))
    assert shown(traffic, message(), now=0.9) == []
    assert shown(traffic, message(), now=1.0) == [
        "… 81 more messages not shown",
        "pub → test x",
    ]


def test_messages_that_cannot_be_shown_need_not_be_sampled() -> None:
    traffic = Traffic(0.0)
    assert traffic.room_for_messages(until=0.1) == MESSAGES_A_SECOND
    shown(traffic, *published(3))
    assert traffic.room_for_messages(until=0.9) == MESSAGES_A_SECOND - 3
    shown(traffic, *published(100), now=0.5)
    assert traffic.room_for_messages(until=0.9) == 0
    # What comes before the next look is shown with what the next second brings.
    assert traffic.room_for_messages(until=1.0) == MESSAGES_A_SECOND


def test_rates_are_those_of_the_last_seconds() -> None:
    rates = Rates()
    assert rates.update(0, 0, 0.0) == (0.0, 0.0)
    for tick in range(1, 101):
        latest = rates.update(tick * 10, tick * 20, tick / 10)
    assert [round(rate, 6) for rate in latest] == [100.0, 200.0]
    for tick in range(101, 152):
        latest = rates.update(1_000, 2_000, tick / 10)
    assert latest == (0.0, 0.0)


def test_rates_after_a_rest_are_not_those_of_the_rest() -> None:
    rates = Rates()
    rates.update(0, 0, 0.0)
    rates.rest(5, 5, 100.0)
    assert rates.update(15, 25, 101.0) == (10.0, 20.0)


def test_the_status_line_says_how_things_stand() -> None:
    statistics = trio_mqtt.Statistics(
        clients_connected=1, subscriptions=2, messages_received=41_200, messages_dropped=0
    )
    assert looks.plain(status_line(statistics, 1234.5, 0.34)) == (
        "1 client · 2 subscriptions · 1,234/s in, 0.3/s out · 41,200 messages in all"
    )
    statistics.messages_dropped = 7
    assert looks.plain(status_line(statistics, 0, 0)).endswith(" · 7 dropped")
