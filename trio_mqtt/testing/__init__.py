"""For tests of programs that use MQTT: real brokers, what came there, and what goes wrong.

`broker_in_thread` runs one in a thread, for any client and tests of any kind; the pytest fixture
`mqtt_broker` is that. `open_memory_broker` runs one over memory streams, for tests on Trio: no port
and, with an autojump clock, no time. Both can be stopped, killed and started again, know what was
published, and have a `Network` that delays, loses and cuts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_mqtt.lazy_names import load_lazily

if TYPE_CHECKING or not load_lazily(__name__):
    from trio_mqtt.testing.addresses import BrokerAddress as BrokerAddress
    from trio_mqtt.testing.asynchronous import AsyncBroker as AsyncBroker
    from trio_mqtt.testing.memory import MemoryBroker as MemoryBroker
    from trio_mqtt.testing.memory import open_memory_broker as open_memory_broker
    from trio_mqtt.testing.network.frames import NetworkPacket as NetworkPacket
    from trio_mqtt.testing.network.memory_network import MemoryNetwork as MemoryNetwork
    from trio_mqtt.testing.network.network import Network as Network
    from trio_mqtt.testing.network.proxy import BrokerNetwork as BrokerNetwork
    from trio_mqtt.testing.recording import RecordedMessage as RecordedMessage
    from trio_mqtt.testing.threads import BrokerInThread as BrokerInThread
    from trio_mqtt.testing.threads import broker_in_thread as broker_in_thread
