"""Cases are the same for the same seed, bounded, and of all kinds."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

from tests.beside.answers import Answerer, frames
from tests.fuzz.bad_input import BAD_CONNECTS
from tests.fuzz.cases import Case
from tests.fuzz.expectations import connect_of, violation_of
from tests.fuzz.generator import LARGEST, make_case
from tests.fuzz.grammar import V5, V31, V311, Grammar, Kind, Node
from tests.fuzz.mutations import MAXIMUM_SIZE, harm
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import Publish, PubRel

CASES = 600


def test_a_seed_and_a_number_make_a_case() -> None:
    assert make_case(7, 40) == make_case(7, 40)
    assert make_case(7, 40) != make_case(7, 41)
    assert make_case(7, 40) != make_case(8, 40)


def test_all_kinds_of_cases_and_of_ways_to_the_broker_are_made() -> None:
    kinds: Counter[str] = Counter()
    ways: Counter[str] = Counter()
    for number in range(CASES):
        case = make_case(1, number)
        kinds[case.kind] += 1
        ways.update(script.speaks for script in case.scripts)
        for script in case.scripts:
            assert len(script.sent) < 20 * LARGEST
    assert len(kinds) == 9
    assert ways.keys() == {"tcp", "tls", "websocket", "secure_websocket"}


def test_about_half_of_what_is_sent_breaks_the_rules() -> None:
    broken = whole = 0
    for number in range(CASES):
        for script in make_case(2, number).scripts:
            if violation_of(script.sent) is None:
                whole += 1
            else:
                broken += 1
    assert CASES / 5 < broken < CASES * 2
    assert CASES / 5 < whole < CASES * 2


def test_a_case_outlives_its_file(tmp_path: Path) -> None:
    for number in range(50):
        case = make_case(3, number)
        path = tmp_path / f"{number}.json"
        case.write(path, ["a problem"])
        assert Case.read(path) == case


def test_what_the_grammar_makes_is_mostly_valid() -> None:
    accepted = 0
    for version in (V31, V311, V5):
        for seed in range(200):
            chance = random.Random(seed)  # noqa: S311
            grammar = Grammar(chance, version)
            accepted += connect_of(grammar.connect("one").encode()) is not None
    assert accepted > 500


def test_no_connect_that_is_known_to_be_bad_is_a_valid_one() -> None:
    for data in BAD_CONNECTS:
        connect = connect_of(data)
        if connect is not None and not connect.client_id:
            continue  # a session without a name: MQTT 3 leaves it to the broker to refuse it
        assert connect is None or violation_of(data) is not None, data[:40]


def test_harm_changes_what_is_sent_and_stays_small() -> None:
    changed = 0
    for seed in range(500):
        chance = random.Random(seed)  # noqa: S311
        grammar = Grammar(chance, V5)
        tree, other = grammar.any(), grammar.connect()
        before = tree.encode()
        for _ in range(5):
            harm(tree, chance, [other])
        after = tree.encode()
        changed += before != after
        assert len(after) < 20 * LARGEST
    assert changed > 450


def test_harm_upon_harm_grows_by_no_more_than_its_bound_each_time() -> None:
    for seed in range(40):
        chance = random.Random(seed)  # noqa: S311
        tree = Node(Kind.BLOCK, parts=[Node(Kind.BLOCK) for _ in range(100)])
        for _ in range(12):
            before = tree.size
            harm(tree, chance, [Grammar(chance, V5).connect()])
            assert (
                tree.size < before + 70_010 + MAXIMUM_SIZE
            )  # the longest that is put in is 70,000


def test_messages_are_answered_however_they_are_cut() -> None:
    version = ProtocolVersion.V311
    data = b"".join((
        encode(Publish("t", b"x", 1, packet_id=5), version),
        encode(Publish("t", b"x" * 300, 2, packet_id=6), version),
        encode(Publish("t", b"x"), version),
        encode(PubRel(6), version),
        b"\x50\x02\x00\x09",
    ))  # fmt: skip
    assert [first >> 4 for first, _, _ in frames(data)] == [3, 3, 3, 6, 5]
    wanted = b"\x40\x02\x00\x05" + b"\x50\x02\x00\x06" + b"\x70\x02\x00\x06" + b"\x62\x02\x00\x09"
    for size in (1, 3, len(data)):
        answerer = Answerer()
        answers = [answerer.feed(data[at : at + size]) for at in range(0, len(data), size)]
        assert b"".join(answers) == wanted
