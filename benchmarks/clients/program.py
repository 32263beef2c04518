"""One client doing one task, in a process of its own: prints its figures as JSON.

`python -m benchmarks.clients.program CLIENT TASK PORT SECONDS`. Each client is used as its own
documentation shows, in the way that is fastest.
"""

import asyncio
import json
import queue
import resource
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

TOPIC = "bench/topic"
PAYLOAD = bytes(64)
END = b"end"  # the payload of the last message that is there to receive
# Messages that Mosquitto lets be unacknowledged; who gives each a task of its own has so many.
WINDOW = 20
_BETWEEN_LOOKS = 200  # messages sent between two looks at the clock


class Meter:
    """Counts messages and what they cost, from `start` to `stop`."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.count = 0
        self.figures: dict[str, float] = {}

    def start(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        self.end = self._wall + self.seconds

    def stop(self) -> None:
        wall = time.perf_counter() - self._wall
        cpu = time.process_time() - self._cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        self.figures = {
            "rate": self.count / wall,
            "cpu": cpu / max(1, self.count),
            "memory": peak,
            "count": self.count,
        }

    def going_on(self) -> bool:
        return time.perf_counter() < self.end

    def took(self, payload: object) -> bool:
        """A message was received; whether it was the last to count."""
        if self.count == 0:
            self.start()
        self.count += 1
        if payload != END and (self.count % _BETWEEN_LOOKS or self.going_on()):
            return False
        self.stop()
        return True


# trio-mqtt


async def _ours(task: str, port: int, meter: Meter) -> None:
    import anyio

    import trio_mqtt

    def endless() -> Any:  # noqa: ANN401
        pair = (TOPIC, PAYLOAD)
        while meter.going_on():
            for _ in range(_BETWEEN_LOOKS):
                yield pair
            meter.count += _BETWEEN_LOOKS

    async with trio_mqtt.open_client(f"mqtt://127.0.0.1:{port}") as client:
        if task == "receive":
            async with client.subscribe(TOPIC) as messages:
                print("ready", flush=True)
                async for message in messages:
                    if meter.took(message.payload):
                        return
            return
        meter.start()
        if task == "publish-qos0":
            while meter.going_on():
                for _ in range(_BETWEEN_LOOKS):
                    await client.publish(TOPIC, PAYLOAD)
                meter.count += _BETWEEN_LOOKS
            await client.publish(TOPIC, PAYLOAD, qos=1)  # behind all others
        elif task == "batch-qos1":
            await client.publish_many(endless(), qos=1)
        else:

            async def publish() -> None:
                while meter.going_on():
                    for _ in range(10):
                        await client.publish(TOPIC, PAYLOAD, qos=1)
                        meter.count += 1

            async with anyio.create_task_group() as tasks:
                for _ in range(WINDOW):
                    tasks.start_soon(publish)
        meter.stop()


def ours_asyncio(task: str, port: int, meter: Meter) -> None:
    import anyio

    anyio.run(_ours, task, port, meter, backend="asyncio")


def ours_trio(task: str, port: int, meter: Meter) -> None:
    import anyio

    anyio.run(_ours, task, port, meter, backend="trio")


# paho-mqtt


def paho(task: str, port: int, meter: Meter) -> None:
    from paho.mqtt.client import Client
    from paho.mqtt.enums import CallbackAPIVersion

    client = Client(CallbackAPIVersion.VERSION2)
    done: queue.SimpleQueue[None] = queue.SimpleQueue()

    def on_message(_client: object, _data: object, message: Any) -> None:  # noqa: ANN401
        if not meter.figures and meter.took(message.payload):
            done.put(None)

    client.on_subscribe = lambda *_: print("ready", flush=True)
    client.on_message = on_message
    client.connect("127.0.0.1", port)
    client.loop_start()
    while not client.is_connected():
        time.sleep(0.001)
    if task == "receive":
        client.subscribe(TOPIC)
        done.get()
    else:
        meter.start()
        qos = 0 if task == "publish-qos0" else 1
        infos: Any = []
        while meter.going_on():
            for _ in range(_BETWEEN_LOOKS):
                infos.append(client.publish(TOPIC, PAYLOAD, qos=qos))
            meter.count += _BETWEEN_LOOKS
            if qos:
                # It queues without bound: wait for those before the last ones.
                infos[0].wait_for_publish()
                del infos[:-_BETWEEN_LOOKS]
            else:
                infos.clear()
        client.publish(TOPIC, PAYLOAD, qos=1).wait_for_publish()
        for info in infos:
            info.wait_for_publish()
        meter.stop()
    client.disconnect()
    client.loop_stop()


# gmqtt


async def _gmqtt(task: str, port: int, meter: Meter) -> None:
    import gmqtt  # type: ignore[import-untyped]  # it comes without types
    from gmqtt.storage import PersistentStorage  # type: ignore[import-untyped]  # as above

    done, subscribed = asyncio.Event(), asyncio.Event()
    window = WINDOW - 1  # it raises OverflowError at the last
    room = asyncio.Semaphore(window)

    class Storage(PersistentStorage):  # type: ignore[misc]  # as above
        def remove_message_by_mid(self, mid: int) -> None:
            """PUBACK came, which is not told in another way."""
            super().remove_message_by_mid(mid)
            room.release()

    client: Any = gmqtt.Client("", persistent_storage=Storage())

    def on_message(_client: object, _topic: str, payload: bytes, *_: object) -> int:
        if not meter.figures and meter.took(payload):
            done.set()
        return 0

    client.on_subscribe = lambda *_: subscribed.set()
    client.on_message = on_message
    await client.connect("127.0.0.1", port)
    if task == "receive":
        client.subscribe(TOPIC)
        await subscribed.wait()
        print("ready", flush=True)
        await done.wait()
    else:
        meter.start()
        qos = 0 if task == "publish-qos0" else 1
        while meter.going_on():
            for _ in range(_BETWEEN_LOOKS):
                if qos:
                    await room.acquire()
                client.publish(TOPIC, PAYLOAD, qos=qos)
            meter.count += _BETWEEN_LOOKS
            await asyncio.sleep(0)
        if not qos:
            await room.acquire()
            client.publish(TOPIC, PAYLOAD, qos=1)
        for _ in range(window):
            await room.acquire()
        meter.stop()
    await client.disconnect()


def gmqtt(task: str, port: int, meter: Meter) -> None:
    asyncio.run(_gmqtt(task, port, meter))


# aiomqtt


async def _aiomqtt(task: str, port: int, meter: Meter) -> None:
    import aiomqtt

    async with aiomqtt.Client("127.0.0.1", port) as client:
        client.pending_calls_threshold = 2 * WINDOW  # from where on it warns
        if task == "receive":
            await client.subscribe(TOPIC)
            print("ready", flush=True)
            async for message in client.messages:
                if meter.took(message.payload):
                    return
            return
        meter.start()
        if task == "publish-qos0":
            while meter.going_on():
                for _ in range(_BETWEEN_LOOKS):
                    await client.publish(TOPIC, PAYLOAD)
                meter.count += _BETWEEN_LOOKS
            await client.publish(TOPIC, PAYLOAD, qos=1)
        else:

            async def publish() -> None:
                while meter.going_on():
                    for _ in range(10):
                        await client.publish(TOPIC, PAYLOAD, qos=1)
                        meter.count += 1

            await asyncio.gather(*(publish() for _ in range(WINDOW)))
        meter.stop()


def aiomqtt(task: str, port: int, meter: Meter) -> None:
    asyncio.run(_aiomqtt(task, port, meter))


CLIENTS: dict[str, Callable[[str, int, Meter], Awaitable[None] | None]] = {
    "trio-mqtt on asyncio": ours_asyncio,
    "trio-mqtt on Trio": ours_trio,
    "paho-mqtt": paho,
    "gmqtt": gmqtt,
    "aiomqtt": aiomqtt,
}


def main() -> None:
    """Do what the command line says."""
    name, task, port, seconds = sys.argv[1:]
    meter = Meter(float(seconds))
    CLIENTS[name](task, int(port), meter)
    print(json.dumps(meter.figures), flush=True)


if __name__ == "__main__":
    main()
