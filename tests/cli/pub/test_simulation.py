"""`pub --simulate`: topics from a file, each with its own interval, the same again by `--seed`."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path

import pytest
import trio
from tmqtt.pub.payloads import Same
from tmqtt.pub.plan import PubOptions, SimulatedTopic, Source
from tmqtt.pub.simulation import SimulationError, read_simulation
from tmqtt.pub.streams import Stream, Turns, streams_of
from tmqtt.pub.templates import Template

from tests.cli.programs import Program, Run, screen

TOML = """\
# A plant.
[[topics]]
topic = "plant/{choice:press,oven}/celsius"
every = "1s"
qos = 1
retain = true
payload = '{"n": {n}, "celsius": {walk:18:24:0.25}, "id": "{uuid}"}'

[[topics]]
topic = "plant/door"
rate = "30/m"
payload = "{choice:open,closed}"
content-type = "text/plain"
count = 2
"""
AS_JSON = {
    "topics": [
        {
            "topic": "plant/{choice:press,oven}/celsius",
            "every": "1s",
            "qos": 1,
            "retain": True,
            "payload": '{"n": {n}, "celsius": {walk:18:24:0.25}, "id": "{uuid}"}',
        },
        {
            "topic": "plant/door",
            "rate": "30/m",
            "payload": "{choice:open,closed}",
            "content-type": "text/plain",
            "count": 2,
        },
    ]
}


def read(path: Path, every: float | None = None) -> tuple[SimulatedTopic, ...]:
    return read_simulation(str(path), every=every, qos=0, retain=False, fastest=1000)


@pytest.mark.parametrize("name", ["plant.toml", "plant.json"])
def test_topics_are_read(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_text(json.dumps(AS_JSON, indent=2) if name.endswith("json") else TOML)
    first, second = read(file)
    assert (first.every, first.qos, first.retain, first.count) == (1.0, 1, True, None)
    assert second == SimulatedTopic(
        topic="plant/door", payload="{choice:open,closed}", every=2.0, qos=0, retain=False,
        count=2, content_type="text/plain",
    )  # fmt: skip


def test_what_a_topic_does_not_say_the_options_do(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text('[[topics]]\ntopic = "a"\n')
    [topic] = read_simulation(str(file), every=0.5, qos=2, retain=True, fastest=1000)
    assert (topic.every, topic.qos, topic.retain, topic.payload) == (0.5, 2, True, None)


@pytest.mark.parametrize(
    ("text", "line", "wrong"),
    [
        ('"every": 1', 4, "every: 1 is not text, such as "),
        ('"every": "soon"', 4, "every: 'soon' is not a duration"),
        ('"rate": "1/s", "every": "1s"', 4, "rate: there is every already"),
        ('"rate": "2000/s"', 4, "rate: '2000/s' is too much"),
        ('"qos": 3', 4, "qos: there is no quality of service 3"),
        ('"qos": true', 4, "qos: True is not a number"),
        ('"count": 0', 4, "count: 0 is not a number of messages"),
        ('"colour": "red"', 4, "colour: there is no such key: there are topic, payload, every"),
        ('"payload": "{random:1}"', 4, r"payload: \{random:1\} needs two numbers"),
        ('"topic": "a/#"', 4, "topic: The topic 'a/#' holds a wildcard character"),
        ('"payload": "x"', 3, "it does not say how often"),
        ('"topic": 1', 4, "topic: 1 is not text"),
    ],
)
@pytest.mark.parametrize("name", ["bad.toml", "bad.json"])
def test_what_is_wrong_is_told_with_line_and_key(
    tmp_path: Path, name: str, text: str, line: int, wrong: str
) -> None:
    pairs = json.loads(f"{{{text}}}")
    topic = {} if "topic" in pairs else {"topic": "b"}
    file = tmp_path / name
    if name == "bad.toml":
        lines = [f"{key} = {json.dumps(value)}" for key, value in {**pairs, **topic}.items()]
        table = "\n".join(lines)
        file.write_text(f'[[topics]]\ntopic = "a"\nevery = "1s"\n[[topics]]\n{table}\n')
        line += 1
    else:
        rest = ",\n".join(
            f"{json.dumps(k)}: {json.dumps(v)}" for k, v in {**pairs, **topic}.items()
        )
        file.write_text(f'{{"topics": [\n{{"topic": "a", "every": "1s"}},\n{{\n{rest}}}]}}\n')
    with pytest.raises(SimulationError, match=rf"{name}, line {line}(: )?.*{wrong}"):
        read(file)


@pytest.mark.parametrize(
    ("name", "text", "wrong"),
    [
        ("a.toml", "[[topics]\n", "is not TOML: .*line 1"),
        ("a.json", '{"topics": [\n{]}', "line 2, is not JSON: "),
        ("a.json", "[" * 100_000, "is not JSON that can be read"),
        ("a.json", "[]", "has no topics: write"),
        ("a.toml", "", "has no topics: write"),
        ("a.toml", "topics = [1]", "this is no table"),
        ("a.toml", 'other = 1\n[[topics]]\ntopic = "a"\n', "there is no 'other'"),
        ("a.toml", '[[topics]]\nevery = "1s"\n', "line 1: there is no topic"),
        ("a.toml", "\udcff", "is not UTF-8"),
        *(
            ("a.json", f'{{"topics": [{{"topic": "a", {pair}}}]}}', f"line 1: {key}: it holds a")
            for key, pair in (
                ("topic", r'"topic": "{n}\ud800"'),
                ("payload", r'"payload": "\ud800"'),
                ("content-type", r'"content-type": "\ud800"'),
            )
        ),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, name: str, text: str, wrong: str) -> None:
    file = tmp_path / name
    file.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(SimulationError, match=wrong):
        read(file, every=1.0)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SimulationError, match="cannot be read: No such file"):
        read(tmp_path / "missing")


def stream(name: str, every: float, count: int | None = None) -> Stream:
    return Stream(
        topics=[Template.literal(name)], payloads=Same(b""), every=every, qos=0, retain=False,
        properties={}, count=count,
    )  # fmt: skip


async def turns_of(streams: list[Stream], count: int | None, end: float) -> list[str]:
    began = trio.current_time()
    turns = Turns(streams, count=count, end=began + end)
    found = []
    while (turn := await turns.next()) is not None:
        one, number = turn
        found.append(f"{trio.current_time() - began:g} {one.topics[0].text(1)}{number}")
    return found


@pytest.mark.trio
async def test_each_topic_keeps_to_its_interval(autojump_clock: object) -> None:
    streams = [stream("a", 1.0), stream("b", 0.4, count=3), stream("c", 2.5)]
    assert await turns_of(streams, None, 3.0) == [
        *("0 a1", "0 b1", "0 c1", "0.4 b2", "0.8 b3", "1 a2", "2 a3", "2.5 c2")
    ]
    assert await turns_of(streams, 4, math.inf) == ["0 a1", "0 b1", "0 c1", "0.4 b2"]
    assert await turns_of([stream("b", 1.0, 2)], None, math.inf) == ["0 b1", "1 b2"]


@pytest.mark.trio
async def test_a_seed_makes_the_same_again(tmp_path: Path) -> None:
    file = tmp_path / "plant.toml"
    file.write_text(TOML)

    async def told(seed: int | None) -> list[tuple[str, bytes | None]]:
        options = PubOptions(topics=(), source=Source(), seed=seed, simulation=read(file))
        return [
            (one.topics[0].text(number), await one.payloads.next(number))
            for one in await streams_of(options)
            for number in range(1, 20)
        ]

    once = await told(1)
    assert once == await told(1)
    assert once != await told(2)
    assert await told(None) != await told(None)
    celsius = [json.loads(payload or b"")["celsius"] for _, payload in once[:19]]
    assert celsius[0] == 21.0
    assert all(18 <= each <= 24 for each in celsius)
    assert all(abs(a - b) <= 0.26 for a, b in pairwise(celsius))


@pytest.mark.slow
@pytest.mark.parametrize("terminal", [False, True])
def test_a_plant_is_simulated(in_pipe: tuple[Program, str], tmp_path: Path, terminal: bool) -> None:
    broker, url = in_pipe
    file = tmp_path / "plant.toml"
    root = f"plant{terminal}"
    file.write_text(TOML.replace("plant/", f"{root}/").replace("1s", "40ms"))
    name = f"simulated-{terminal}"
    with Program(
        "sub", f"{root}/#", "-q", "1", "-F", "%q %t %C", "-C", "8", "-b", url, "-i", name
    ) as sub:
        broker.out.expect(f"{name} subscribed to")
        words = ("pub", "--simulate", str(file), "--count", "8", "--seed", "1", "-b", url)
        with Program(*words, terminal=terminal, columns=120) as pub:
            assert pub.ended() == 0, pub.out.text
            shown = "\n".join(screen(pub.out.data, 120))
        assert sub.ended() == 0
        lines = sub.out.text.splitlines()
    doors = [line for line in lines if "door" in line]
    assert 1 <= len(doors) <= 2
    assert set(doors) == {f"0 {root}/door text/plain"}
    assert {line.split("/")[0] for line in lines if line not in doors} == {f"1 {root}"}
    if terminal:
        assert "8 messages sent in" in shown
        assert f"{8 - len(doors)} acknowledged" in shown
    else:
        assert shown.strip() == ""


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("a", "--simulate", "{file}"), "With --simulate, topics and messages are those of"),
        (("-m", "b", "--simulate", "{file}"), "With --simulate, topics and messages are those"),
        (("--simulate", "{file}"), "file, line 1: it does not say how often: write every"),
        (("--simulate", "{file}", "--seed", "x"), "'--seed'"),
    ],
)
def test_wrong_options(
    in_process: Run, tmp_path: Path, words: tuple[str, ...], sentence: str
) -> None:
    file = tmp_path / "file"
    file.write_text('[[topics]]\ntopic = "a"\n')
    ended = in_process("pub", *(word.replace("{file}", str(file)) for word in words))
    assert ended.code == 2
    assert sentence in ended.err
