"""`tmqtt bench` measures any broker with processes of its own, and says what came of it."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
from tmqtt.bench.command import make_room_for_files
from tmqtt.bench.plan import Plan
from tmqtt.terminal.sentences import CommandError

from tests.cli.programs import DEADLINE, Program, Run, running_broker, screen

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running_broker() as (broker, url):
        yield url
        assert broker.stop() == 0


def figures(*arguments: str) -> dict[str, Any]:
    with Program("bench", *arguments, "--json") as bench:
        assert bench.ended() == 0
    return one_line(bench)


def one_line(bench: Program) -> dict[str, Any]:
    (line,) = bench.out.text.splitlines()
    found = json.loads(line)
    assert isinstance(found, dict)
    assert found["schema"] == "tmqtt-bench/1"
    assert not found["interrupted"]
    return found


def test_a_pair_gets_what_it_sends_once_and_in_order(url: str) -> None:
    found = figures("pair", url, "-c", "2", "--count", "300", "-q", "1", "--rate", "2000/s")
    messages = found["messages"]
    assert messages["sent"] == messages["acknowledged"] == messages["received"] == 600
    assert messages["lost"] == messages["repeated"] == messages["reordered"] == 0
    assert found["latency_us"]["delivery"]["count"] == 600
    assert found["latency_us"]["acknowledgement"]["count"] == 600
    assert found["latency_us"]["delivery"]["p50"] <= found["latency_us"]["delivery"]["max"]
    assert found["load"]["processes"] == found["options"]["processes"]
    assert 0.14 < found["seconds"] < DEADLINE  # at 2000/s


@pytest.mark.parametrize(
    ("arguments", "sent", "received"),
    [
        (("pub", "-c", "3", "--count", "50", "-q", "2"), 150, 0),
        (("pair", "--count", "1", "--rate", "6/h"), 1, 1),
        (("fan-in", "-c", "3", "--subscribers", "2", "--count", "50"), 150, 300),
        (("fan-out", "-c", "4", "--publishers", "2", "--count", "50", "--size", "5"), 100, 400),
    ],
)
def test_each_shape_counts_what_it_should(
    url: str, arguments: tuple[str, ...], sent: int, received: int
) -> None:
    found = figures(*arguments, "-b", url, "--processes", "3", "-V", "3.1.1")
    assert found["messages"]["sent"] == sent
    assert found["messages"]["received"] == received
    assert found["messages"]["lost"] == found["connections"]["lost"] == 0
    small = [text for text in found["warnings"] if "too small" in text]
    assert len(small) == ("5" in arguments[-1:])


def test_retained_messages_do_not_stay_behind() -> None:
    with running_broker() as (_, url):
        figures("pub", url, "-c", "3", "--count", "2", "-q", "1", "--retain", "--processes", "1")
        found = figures("sub", url, "--topic", "#", "--duration", "100ms", "--processes", "1")
    assert found["messages"]["received"] == 0


def test_connections_are_counted_and_cost_what_the_process_tells() -> None:
    with running_broker() as (broker, url):
        found = figures("conn", url, "-c", "30", "--for", "50ms", "--pid", str(broker.process.pid))
    assert found["connections"]["opened"] == found["latency_us"]["connection"]["count"] == 30
    assert found["broker"]["pid"] == broker.process.pid
    assert found["broker"]["memory_bytes"] > 1_000_000
    assert found["broker"]["cpu_us_per_connection"] >= 0


def test_a_subscriber_knows_the_messages_of_a_publisher_elsewhere(url: str) -> None:
    with Program("bench", "sub", url, "--count", "40", "--json", "--processes", "1") as sub:
        # It has subscribed once it gets something: a publisher at a rate goes on until then.
        with Program(
            "bench", "pub", url, "--rate", "100/s", "--duration", "1m", "--processes", "1"
        ) as pub:
            assert sub.ended() == 0
            pub.process.kill()
        found = json.loads(sub.out.text)
    assert found["messages"]["received"] >= 40
    assert found["messages"]["lost"] == 0
    assert found["latency_us"]["delivery"]["count"] >= 40


def test_two_brokers_are_compared_in_turn(url: str) -> None:
    with running_broker() as (_, other):
        comparing = ("pair", url, "--compare", other, "--rounds", "1", "--processes", "1")
        # Side by side: they wait more than they work, and neither minds the other's messages.
        with (
            Program("bench", *comparing, "--count", "100") as bench,
            Program("bench", *comparing, "--count", "20", "--json") as for_programs,
        ):
            assert bench.ended() == 0
            assert for_programs.ended() == 0
        lines = bench.out.text.splitlines()
        assert lines[0].startswith(f"pair at {url} and {other}")
        assert lines[1].startswith("1 publisher, 1 subscriber, QoS 0, 64 bytes, as fast")
        assert lines[2].split() == ["first", url]
        assert lines[3].split() == ["second", other]
        assert any("received /s" in line and "…" in line for line in lines)
        assert lines[-1] == "Medians of 1 round, in turn."
        found = one_line(for_programs)
    assert [broker["url"] for broker in found["brokers"]] == [url, other]
    assert found["comparison"]["received /s"]["ratio"] > 0


def test_subscribers_of_two_brokers_are_compared_while_others_publish(url: str) -> None:
    with (
        running_broker() as (_, other),
        Program("pub", "x", "--every", "5ms", "-b", url) as one,
        Program("pub", "x", "--every", "5ms", "-b", other) as two,
    ):
        found = figures(
            # So many that they cannot all have come by the time of the first look at them.
            "sub", url, "--topic", "x", "--count", "200", "--compare", other, "--rounds", "1",
            "--processes", "1",
        )  # fmt: skip
        assert one.stop() == two.stop() == 143
    assert [broker["url"] for broker in found["brokers"]] == [url, other]
    assert all(broker["rounds"][0]["messages"]["received"] >= 200 for broker in found["brokers"])
    assert found["comparison"]["received /s"]["ratio"] > 0


def test_a_warning_stands_below_the_line_of_progress_and_not_in_it(url: str) -> None:
    arguments = ("pair", url, "--count", "20", "--rate", "20/s", "--size", "5")
    with Program("bench", *arguments, terminal=True, columns=80) as bench:
        assert bench.ended() == 0
        lines = screen(bench.out.data, 80)
    assert any(line.startswith("Warning: ") for line in lines)
    assert not any("Warning: " in line[1:] or "━" in line for line in lines)


def test_ctrl_c_gives_the_figures_so_far(url: str) -> None:
    with Program(
        "bench", "pair", url, "-c", "5", "--duration", "5m", "--processes", "1", terminal=True
    ) as bench:
        bench.out.expect(r"% .*/s sent · .*/s received · p50 ")
        bench.press_ctrl_c()
        assert bench.ended() == 130
    text = bench.out.text
    assert "Traceback" not in text
    after = text[text.index("  sent  ") :]
    for name in ("received", "lost", "latency", "load"):
        assert name in after
    assert re.search(r"^  lost +0$", after, re.MULTILINE)  # what is under way is not lost
    counts = {
        name: int(count.replace(",", ""))
        for name, count in re.findall(r"^  (sent|received|in flight) +([0-9,]+)", after, re.M)
    }
    assert counts["sent"] == counts["received"] + counts.get("in flight", 0)


def test_workers_end_with_the_one_who_started_them(url: str) -> None:
    with Program("bench", "pair", url, "--duration", "5m", terminal=True) as bench:
        bench.out.expect("/s received")
        workers = psutil.Process(bench.process.pid).children(recursive=True)
        assert len(workers) >= 1
        bench.process.kill()
        _, alive = psutil.wait_procs(workers, DEADLINE)
        assert alive == []


def test_a_broker_that_goes_away_is_told_after_the_figures() -> None:
    with running_broker() as (broker, url):
        with Program(
            "bench", "pair", url, "--rate", "100/s", "--duration", "2s", "--processes", "1"
        ) as bench:
            broker.out.expect("subscribed to")
            broker.out.expect(r"→ tmqtt-bench-", times=3)
            broker.process.kill()
            assert bench.ended() == 1
        assert "received" in bench.out.text
        assert "2 connections were lost meanwhile: " in bench.err.text
        assert "Traceback" not in bench.err.text


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("pair", "mqtt://127.0.0.1:1"), 1, "No broker answers at mqtt://127.0.0.1:1"),
        (("pub", "--rate", "6/h", "mqtt://127.0.0.1:1"), 1, "No broker answers"),
        (("pair", "nonsense"), 1, "'nonsense' does not start with mqtt://"),
        (("pair", "-c", "0"), 2, "is not a number of clients"),
        (("pair", "--size", "4XB"), 2, "is not a size"),
        (("pair", "--size", "201MB"), 2, "is too large"),
        (("pub", "--rate", "fast"), 2, "is not a rate"),
        (("pub", "--compare-pid", "1"), 2, "there is no second broker"),
        (("pub", "--topic", "a/#"), 2, "The topic 'a/#' "),
        (("pub", "--pid", "999999999"), 1, "There is no process 999999999"),
    ],
)
def test_what_cannot_be_is_told_in_a_sentence(
    in_process: Run,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
    sentence: str,
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    bench = in_process("bench", *arguments)
    assert bench.code == code
    assert sentence in bench.err
    assert "Traceback" not in bench.err


@pytest.mark.skipif(sys.platform == "win32", reason="such a limit is of Unix")
def test_more_connections_than_files_may_be_open_is_told_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import resource

    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 1_024))
    raised: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: raised.append(limits))
    plan = Plan(kind="conn", publishers=0, subscribers=3_000, topic="", processes=2)
    with pytest.raises(CommandError, match=r"ulimit -Hn\): take --processes 4, or fewer"):
        make_room_for_files(plan)
    make_room_for_files(Plan(kind="conn", publishers=0, subscribers=900, topic="", processes=2))
    assert raised == [(514, 1_024)]
