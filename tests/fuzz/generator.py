"""Cases by chance: the same seed and number give the same case, on every machine."""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.fuzz.bad_input import BAD_CONNECTS, BAD_PACKETS, BAD_STREAMS
from tests.fuzz.cases import ENDS, Case, Script, Step
from tests.fuzz.expectations import METRICS, MOUNTED
from tests.fuzz.grammar import CLIENTS, FILTERS, TOPICS, V5, V31, V311, Grammar, Node, packet
from tests.fuzz.http_requests import request
from tests.fuzz.mutations import harm, harm_bytes
from tests.fuzz.websocket import hostile_frames, upgrade

LARGEST = 300_000  # bytes that a client sends in one step
# What a listener is and how a client speaks to it.
WAYS = (
    (("mqtt", "tcp"), 60), (("any", "tcp"), 8), ((MOUNTED, "tcp"), 12), (("ws", "websocket"), 14),
    (("any", "websocket"), 4), (("mqtts", "tls"), 5), (("wss", "secure_websocket"), 4),
    (("ws", "tcp"), 2), (("mqtts", "tcp"), 2), (("wss", "tcp"), 1),
)  # fmt: skip


def make_case(seed: int, number: int) -> Case:
    """The case of this number in the run of this seed."""
    chance = random.Random(f"{seed}/{number}")  # noqa: S311 (what to try is no secret)
    kinds = [kind for kind, _ in _KINDS]
    (kind,) = chance.choices(kinds, [weight for _, weight in _KINDS])
    return Case(seed, number, kind(chance), kind.__name__)


def _script(chance: random.Random) -> Script:
    ways = [way for way, _ in WAYS]
    ((port, speaks),) = chance.choices(ways, [weight for _, weight in WAYS])
    ends = ("wait", "wait", "wait", "shutdown", "reset", "close")
    return Script(port, speaks, end=chance.choice(ends), reads=chance.random() > 0.1)


def _grammar(chance: random.Random) -> Grammar:
    return Grammar(chance, chance.choice((V5, V5, V5, V311, V311, V31)))


def _steps(chance: random.Random, data: bytes) -> list[Step]:
    """The ways in which bytes may go: at once, cut anywhere, slowly."""
    data = data[:LARGEST]
    match chance.randrange(8):
        case 0 if len(data) < 400:
            return [("dribble", data.hex(), chance.choice((1, 1, 3)))]
        case 1 | 2 if len(data) > 1:
            cut = chance.randrange(1, len(data))
            first, second = data[:cut], data[cut:]
            pause = chance.choice((0.0, 0.0, 0.002, 0.05))
            return [("send", first.hex()), ("pause", pause), ("send", second.hex())]
        case 3 if len(data) < 2_000:
            return [("send", data.hex()), ("answer", 0.05)]
    return [("send", data.hex())]


def conversation(chance: random.Random) -> list[Script]:
    """CONNECT and what may follow, some of it harmed."""
    script, grammar = _script(chance), _grammar(chance)
    trees = [grammar.connect(), *(grammar.any() for _ in range(chance.choice((1, 2, 4, 8, 16))))]
    for _ in range(chance.choice((0, 1, 1, 2, 5))):
        # The first one seldom: what follows a bad CONNECT is heard by nobody.
        at = 0 if chance.random() < 0.15 else chance.randrange(len(trees))
        harm(trees[at], chance, trees)
    data = [tree.encode() for tree in trees]
    if chance.random() < 0.2:
        at = chance.randrange(len(data))
        data[at] = harm_bytes(data[at], chance)
    if chance.random() < 0.4:
        script.steps = _steps(chance, b"".join(data))
    else:
        script.steps = [step for one in data for step in _steps(chance, one)]
    return [script]


def valid(chance: random.Random) -> list[Script]:
    """Nothing harmed: a client that does much, and answers."""
    script, grammar = _script(chance), _grammar(chance)
    trees = [grammar.connect(), *(grammar.any() for _ in range(chance.choice((3, 10, 30))))]
    script.steps = [step for tree in trees for step in _steps(chance, tree.encode())]
    script.steps.append(("answer", 0.1))
    return [script]


def opening(chance: random.Random) -> list[Script]:
    """A CONNECT that is harmed, or something else in its place."""
    script, grammar = _script(chance), _grammar(chance)
    match chance.randrange(4):
        case 0:
            data = chance.randbytes(chance.choice((1, 2, 5, 50, 3_000)))
        case 1:
            data = grammar.any().encode()
        case _:
            tree = grammar.connect()
            for _ in range(chance.choice((1, 1, 2, 4))):
                harm(tree, chance, [grammar.any()])
            data = tree.encode()
    more = b"".join(grammar.any().encode() for _ in range(chance.randrange(3)))
    script.steps = _steps(chance, data + more)
    return [script]


def known_bad(chance: random.Random) -> list[Script]:
    """What has broken brokers before."""
    script, grammar = _script(chance), _grammar(chance)
    match chance.randrange(3):
        case 0:
            script.steps = [("send", chance.choice(BAD_CONNECTS).hex())]
            script.must_be_refused = True
        case 1:
            connect = grammar.connect()
            script.steps = [("send", connect.encode().hex())]
            bad = chance.choice(BAD_PACKETS[grammar.version == V5])
            script.steps += _steps(chance, grammar.any().encode() + bad + grammar.any().encode())
        case _:
            script.port, script.speaks = chance.choice((("mqtt", "tcp"), ("any", "tcp")))
            script.steps = _steps(chance, chance.choice(BAD_STREAMS))
    return [script]


def many(chance: random.Random) -> list[Script]:
    """Very many packets in few reads."""
    script, grammar = _script(chance), _grammar(chance)
    tree = chance.choice((
        grammar.any, grammar.any, lambda: packet(0xC0), grammar.subscribe,
        lambda: grammar.publish("fuzz/a", 0), lambda: grammar.publish("fuzz/a", 2),
    ))()  # fmt: skip
    if chance.random() < 0.3:
        harm(tree, chance, [grammar.connect()])
    data = tree.encode()
    count = max(1, min(chance.choice((50, 500, 3_000)), LARGEST // (len(data) or 1)))
    subscribe = grammar.subscribe(chance.choice(("fuzz/#", "#", "drop/x")))
    script.steps = [
        ("send", (grammar.connect().encode() + subscribe.encode()).hex()),
        ("repeat", data[:LARGEST].hex(), count),
    ]
    return [script]


def takeover(chance: random.Random) -> list[Script]:
    """Several clients with one identifier, at the same time, in the middle of things."""
    client_id = chance.choice(CLIENTS)
    scripts = []
    for _ in range(chance.choice((2, 3, 6))):
        script, grammar = _script(chance), _grammar(chance)
        trees = [grammar.connect(client_id, clean=chance.random() < 0.3)]
        trees += [grammar.any() for _ in range(chance.choice((1, 3, 8)))]
        script.steps = [("pause", chance.choice((0.0, 0.0, 0.01, 0.03)))]
        script.steps += [step for tree in trees for step in _steps(chance, tree.encode())]
        script.end = chance.choice(("reset", "close", "wait"))
        scripts.append(script)
    return scripts


def deliveries(chance: random.Random) -> list[Script]:
    """Subscribers of all kinds, some of which never answer or never read, and a publisher."""
    scripts = []
    for number in range(chance.choice((1, 2, 4))):
        script, grammar = _script(chance), _grammar(chance)
        wanted = [chance.choice(FILTERS[:20]) for _ in range(2)]
        trees = [grammar.connect(clean=number % 2 == 0)]
        trees += [grammar.subscribe(one) for one in wanted]
        script.steps = [("send", b"".join(tree.encode() for tree in trees).hex())]
        script.steps.append(chance.choice((("answer", 0.3), ("pause", 0.3))))
        if chance.random() < 0.3:
            acknowledgements = [
                grammar.acknowledgement(first, carrier)
                for first, carrier in chance.choices(_ACKNOWLEDGEMENTS, k=6)
            ]
            script.steps.append(("send", b"".join(a.encode() for a in acknowledgements).hex()))
        scripts.append(script)
    publisher, grammar = _script(chance), _grammar(chance)
    messages: list[Node] = [grammar.publish(chance.choice(TOPICS)) for _ in range(20)]
    publisher.steps = [
        ("pause", 0.05),
        ("send", grammar.connect().encode().hex()),
        ("send", b"".join(message.encode() for message in messages).hex()),
        ("answer", 0.1),
    ]
    return [*scripts, publisher]


def websocket(chance: random.Random) -> list[Script]:
    """Frames and requests that WebSocket does not allow, or seldom sees."""
    grammar = _grammar(chance)
    port, speaks = chance.choice((("ws", "tcp"), ("ws", "tcp"), ("any", "tcp"), ("wss", "tls")))
    script = Script(port, speaks, end=chance.choice(("wait", "shutdown", "reset")))
    trees = [grammar.connect(), *(grammar.any() for _ in range(4))]
    request = upgrade()
    if chance.random() < 0.4:
        for _ in range(chance.choice((1, 2, 4))):
            request = harm_bytes(request, chance)
    frames = hostile_frames([tree.encode() for tree in trees], chance)
    script.steps = [("raw", request.hex()), ("pause", 0.02), ("raw", frames.hex())]
    return [script]


def http(chance: random.Random) -> list[Script]:
    """What asks for metrics, and what speaks something else to where they are."""
    script = Script(METRICS, "tcp", end=chance.choice(ENDS), reads=chance.random() > 0.2)
    for _ in range(chance.choice((1, 1, 2, 20))):
        data = request(chance)
        if chance.random() < 0.3:
            cut = chance.randrange(len(data) + 1)
            script.steps += [("raw", data[:cut].hex()), ("pause", 0.01)]
            data = data[cut:]
        script.steps.append(("raw", data.hex()))
    return [script]


_ACKNOWLEDGEMENTS = Grammar.ACKNOWLEDGEMENTS
_KINDS: tuple[tuple[Callable[[random.Random], list[Script]], int], ...] = (
    (conversation, 35), (valid, 8), (opening, 15), (known_bad, 15), (many, 6), (takeover, 6),
    (deliveries, 8), (websocket, 7), (http, 4),
)  # fmt: skip
