"""A node as a process that can be killed: its URL is the first line that it prints."""

from __future__ import annotations

import sys

import trio

import trio_mqtt
from trio_mqtt import Cluster


async def main(*arguments: str) -> None:
    url, name, node, lease = arguments
    cluster = Cluster(url=url, name=name, node=node, lease=float(lease), timeout=float(lease) / 2)
    async with trio_mqtt.open_broker("mqtt://127.0.0.1:0", cluster=cluster) as broker:
        sys.stdout.write(broker.url + "\n")
        sys.stdout.flush()
        await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(main, *sys.argv[1:])
