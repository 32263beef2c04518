"""How `tmqtt broker` ends: in order, within a bound, and at once where it is told twice."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys

import pytest

from tests.cli.broker.seen import sees
from tests.cli.programs import DEADLINE, Program
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import Connect, Publish, Subscribe, Subscription

pytestmark = pytest.mark.slow


def subscriber(url: str) -> socket.socket:
    """A client that was sent a message and has not acknowledged it."""
    stream = socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), 30)
    for packet in (
        Connect("c", keep_alive=0),
        Subscribe(1, [Subscription("t", 1)]),
        Publish("t", b"x", 1, packet_id=7),
    ):
        stream.sendall(encode(packet, ProtocolVersion.V311))
    received = b""
    while MESSAGE not in received:
        received += stream.recv(1_000)
    return stream


def until_nobody_listens(address: tuple[str, int]) -> None:
    while True:
        try:
            socket.create_connection(address, 30).close()
        except ConnectionRefusedError:
            return
        except ConnectionResetError:
            continue  # it came just before


MESSAGE = bytes([0x32, 6, 0, 1]) + b"t" + bytes([0, 1]) + b"x"


@pytest.mark.parametrize("in_terminal", [True, False])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(in_terminal: bool, number: signal.Signals) -> None:
    command = ("broker", "mqtt://127.0.0.1:0", "--set", "limits.drain_timeout=1h")
    with Program(*command, terminal=in_terminal) as broker:
        url = broker.out.expect(r"Listening at (\S+)\n")[1]
        with subscriber(url) as stream:
            broker.process.send_signal(number)
            # It does not listen any more, and waits for the acknowledgement.
            until_nobody_listens(stream.getpeername())
            assert broker.process.poll() is None
            broker.process.send_signal(number)
            assert broker.ended() == 128 + number
        assert "Traceback" not in broker.err.text


@sees("limits.drain_timeout")
@pytest.mark.parametrize("in_terminal", [True, False])
def test_what_is_acknowledged_late_is_waited_for(in_terminal: bool) -> None:
    command = ("broker", "mqtt://127.0.0.1:0", "--set", "limits.drain_timeout=1h")
    with Program(*command, terminal=in_terminal) as broker:
        url = broker.out.expect(r"Listening at (\S+)\n")[1]
        with subscriber(url) as stream:
            broker.process.send_signal(signal.SIGTERM)
            until_nobody_listens(stream.getpeername())
            stream.sendall(bytes([0x40, 2, 0, 1]))
            assert broker.ended() == 0
        assert broker.out.text.endswith("Stopped.\n")


PROGRAM = """
import trio, trio_mqtt
async def main():
    async with trio.open_nursery() as nursery:
        limits = trio_mqtt.Limits(drain_timeout=3600)
        serve = lambda **told: trio_mqtt.serve("mqtt://127.0.0.1:0", limits=limits, **told)
        print((await nursery.start(serve)).url, flush=True)
trio.run(main)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_program_that_serves_ends_at_once_as_well(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        url = program.stdout.readline().strip()
        with subscriber(url) as stream:
            program.send_signal(number)
            until_nobody_listens(stream.getpeername())
            program.send_signal(number)
            _, errors = program.communicate(timeout=DEADLINE)
        assert (program.returncode, errors) == (-number, "")
