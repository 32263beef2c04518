"""Properties of MQTT 5 as paho-mqtt, and aiomqtt with it, takes them."""

from __future__ import annotations

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from .peers import SESSION_EXPIRY


def connect_properties(clean: bool) -> Properties:
    """The properties of CONNECT for a session that ends with the connection, or not."""
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's lack
    properties.SessionExpiryInterval = 0 if clean else SESSION_EXPIRY
    return properties


def publish_properties(**values: object) -> Properties:
    """Properties of PUBLISH, by paho's names."""
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho's lack
    for name, value in values.items():
        setattr(properties, name, value)
    return properties
