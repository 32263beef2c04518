"""A broker to be fuzzed by its own description: `python -m tests.web.fuzzed` says where.

`nox -s api` has schemathesis ask for every operation, with what the description allows and with
what it does not: nothing but 2xx and 4xx may come back.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import trio

import trio_mqtt
from trio_mqtt.web import WebOptions, WebToken, serving_web

TOKEN = "a token that all may know"


async def serve(folder: Path) -> None:
    token = WebToken(token=TOKEN, role="administrate")
    options = WebOptions(listen="127.0.0.1:0", tokens={"fuzzer": token})
    storage = trio_mqtt.SqliteStorage(folder / "broker.db", durability="commit")
    async with (
        trio_mqtt.open_broker("mqtt://127.0.0.1:0", storage=storage) as broker,
        serving_web(broker, options) as url,
        # Named as what a fuzzer tries first.
        trio_mqtt.open_client(broker.url, client_id="0", session_expiry_interval=1_000),
    ):
        sys.stdout.write(f"{url}\n")
        sys.stdout.flush()
        await trio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)


def main() -> None:
    with TemporaryDirectory() as folder:
        trio.run(serve, Path(folder))


if __name__ == "__main__":
    main()
