"""An MQTT broker and clients for Python, on structured concurrency."""

from __future__ import annotations

from trio_mqtt.broker.broker import Broker as Broker
from trio_mqtt.broker.limits import Limits as Limits
from trio_mqtt.broker.server import open_broker as open_broker
from trio_mqtt.broker.server import serve as serve
