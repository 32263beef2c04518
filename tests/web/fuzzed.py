"""The API fuzzed by its own description: `nox -s api`, or `python -m tests.web.fuzzed`.

Schemathesis asks a broker for every operation that does not stream, with what the description
allows and with what it does not: nothing but 2xx and 4xx may come back. Arguments are its own, such
as `--max-examples 500`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import trio

import trio_mqtt
from trio_mqtt.administration import OPERATIONS
from trio_mqtt.web import WebOptions, WebToken, serving_web

TOKEN = "a token that all may know"


async def fuzz(folder: Path) -> int:
    """Have a broker fuzzed; the exit code of schemathesis."""
    token = WebToken(token=TOKEN, role="administrate")
    options = WebOptions(listen="127.0.0.1:0", tokens={"fuzzer": token})
    storage = trio_mqtt.SqliteStorage(folder / "broker.db", durability="commit")
    async with (
        trio_mqtt.open_broker("mqtt://127.0.0.1:0", storage=storage) as broker,
        serving_web(broker, options) as url,
        # Named as what a fuzzer tries first.
        trio_mqtt.open_client(broker.url, client_id="0", session_expiry_interval=1_000),
    ):
        streams = [one.name for one in OPERATIONS if one.streams]
        left_out = [word for name in streams for word in ("--exclude-operation-id", name)]
        ended = await trio.run_process(
            [
                *("st", "run", f"{url}/api/v1/openapi.json", "--checks", "not_a_server_error"),
                *("--header", f"Authorization: Bearer {TOKEN}", *left_out, *sys.argv[1:]),
            ],
            check=False,
            cwd=folder,
        )
    return ended.returncode


def main() -> int:
    with TemporaryDirectory() as folder:
        return trio.run(fuzz, Path(folder))


if __name__ == "__main__":
    sys.exit(main())
