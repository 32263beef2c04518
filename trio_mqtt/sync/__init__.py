"""The client for programs without async: scripts, notebooks, threads.

    from trio_mqtt import sync

    with sync.open_client("mqtt://localhost") as client:
        client.publish("test", "Hello")
        with client.subscribe("test") as messages:
            for message in messages:
                print(message.topic, message.text)

It is the asynchronous client, run in a thread of its own; each call here waits for one there. All
of it may be used by several threads at once, and Ctrl-C ends any wait.

`opening` has the thread and the client for a block, `client` the calls, `handles`, `messages` and
`events` what they give back, which waits by the client's `call` and knows no more of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_mqtt.lazy_names import load_lazily

if TYPE_CHECKING or not load_lazily(__name__):
    from trio_mqtt.sync.client import Client as Client
    from trio_mqtt.sync.events import ConnectionEvents as ConnectionEvents
    from trio_mqtt.sync.events import PacketEvents as PacketEvents
    from trio_mqtt.sync.handles import PublishHandle as PublishHandle
    from trio_mqtt.sync.messages import Message as Message
    from trio_mqtt.sync.messages import Messages as Messages
    from trio_mqtt.sync.opening import open_client as open_client
