"""Clients that are sent to another server (MQTT 5.0 §4.11), and response information (§4.10.1)."""

from __future__ import annotations

import pytest

from tests.broker.conftest import Join
from tests.broker.raw import V5, Open
from tests.inside import core_of
from trio_mqtt import Broker
from trio_mqtt.broker.options import BrokerOptions
from trio_mqtt.errors import ConfigurationError, LocalProtocolError
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import ConnAck, Connect, Will
from trio_mqtt.protocol.properties import Properties
from trio_mqtt.protocol.reason_codes import ReasonCode

OTHER = "other.example:1883"


@pytest.mark.parametrize("moved", [False, True])
class TestABrokerThatServesNobody:
    @pytest.fixture
    def options(self, moved: bool) -> BrokerOptions:
        return BrokerOptions(server_reference=OTHER, server_moved=moved)

    async def test_names_the_other_server(
        self, opened: Open, broker: Broker, version: ProtocolVersion, moved: bool
    ) -> None:
        client = opened(version)
        await client.send(Connect("c", protocol_version=version))
        answer = await client.expect(ConnAck)
        if version == V5:
            code = ReasonCode.SERVER_MOVED if moved else ReasonCode.USE_ANOTHER_SERVER
            assert answer.reason_code == code
            assert answer.properties["server_reference"] == OTHER
        else:
            assert answer.reason_code == ReasonCode.SERVER_UNAVAILABLE
        await client.expect_closed()
        assert len(core_of(broker).sessions) == 0

    async def test_names_it_only_where_it_fits(self, opened: Open, moved: bool) -> None:
        client = opened()
        await client.send(Connect("c", properties={"maximum_packet_size": 10}))
        answer = await client.expect(ConnAck)
        assert answer.reason_code == 0x9C + moved
        assert answer.properties == {}


@pytest.mark.parametrize("moved", [False, True])
async def test_a_client_is_sent_away(
    join: Join, broker: Broker, version: ProtocolVersion, moved: bool
) -> None:
    client = await join("c", version, expiry=100, will=Will("w", b"x"))
    watcher = await join("watcher")
    await watcher.subscribe("w")
    assert broker.redirect("c", OTHER, moved=moved)
    goodbye = await client.expect_disconnect(
        ReasonCode.SERVER_MOVED if moved else ReasonCode.USE_ANOTHER_SERVER
    )
    if goodbye is not None:
        assert goodbye.properties["server_reference"] == OTHER
        assert OTHER in goodbye.properties["reason_string"]
    await watcher.expect_message("w", b"x")
    assert not broker.redirect("c", OTHER)
    assert not broker.redirect("nobody", OTHER)


@pytest.mark.normative("MQTT-3.14.2-3")
@pytest.mark.parametrize(
    ("reference", "names"), [(OTHER, {"server_reference"}), ("x" * 100, set())]
)
async def test_it_is_told_as_much_as_fits(
    join: Join, broker: Broker, reference: str, names: set[str]
) -> None:
    client = await join(properties={"maximum_packet_size": 35})
    broker.redirect("c", reference)
    goodbye = await client.expect_disconnect(ReasonCode.USE_ANOTHER_SERVER)
    assert goodbye is not None
    assert set(goodbye.properties) == names


@pytest.mark.parametrize("reference", ["", "\0", "x" * 70_000])
async def test_a_reference_must_be_one(broker: Broker, reference: str) -> None:
    with pytest.raises(LocalProtocolError):
        broker.redirect("c", reference)
    with pytest.raises(ConfigurationError):
        BrokerOptions(server_reference=reference)


@pytest.mark.parametrize("prefix", ["", "a/#"])
def test_a_response_topic_prefix_must_begin_a_topic(prefix: str) -> None:
    with pytest.raises(ConfigurationError):
        BrokerOptions(response_topic_prefix=prefix)


class TestResponseInformation:
    @pytest.fixture
    def options(self) -> BrokerOptions:
        return BrokerOptions(response_topic_prefix="responses/")

    @pytest.mark.normative("MQTT-3.1.2-28")
    @pytest.mark.parametrize(
        ("properties", "expected"),
        [
            ({"request_response_information": 1}, "responses/c"),
            ({"request_response_information": 0}, None),
            ({}, None),
        ],
    )
    async def test_who_asks_is_told(
        self, join: Join, properties: Properties, expected: str | None
    ) -> None:
        client = await join("c", properties=properties)
        assert client.connack is not None
        assert client.connack.properties.get("response_information") == expected

    async def test_an_assigned_identifier_is_part_of_it(self, join: Join) -> None:
        client = await join("", properties={"request_response_information": 1})
        assert client.connack is not None
        told = client.connack.properties
        assert told["response_information"] == "responses/" + told["assigned_client_identifier"]

    async def test_an_identifier_that_is_no_part_of_a_topic_gets_none(self, join: Join) -> None:
        client = await join("c/#", properties={"request_response_information": 1})
        assert client.connack is not None
        assert "response_information" not in client.connack.properties
