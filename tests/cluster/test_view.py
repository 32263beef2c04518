"""What a node says of its cluster: to its program, in metrics, and to who asks the engine."""

from __future__ import annotations

from dataclasses import replace

import trio

from tests.cluster.nodes import nodes
from tests.cluster.waiting import until
from tests.monitoring.scraping import samples
from trio_mqtt import Cluster, open_broker, open_client
from trio_mqtt.administration import NodeStatus, administer
from trio_mqtt.broker.timing import Timing
from trio_mqtt.monitoring.metrics import Exposition


async def test_a_broker_alone_has_no_cluster() -> None:
    async with open_broker("mqtt://127.0.0.1:0") as broker:
        assert broker.cluster is None
        assert (await broker.readings()).cluster is None


async def test_a_node_knows_its_cluster(cluster: Cluster) -> None:
    async with nodes(cluster, 2) as (one, two):
        await until(lambda: one.cluster is not None and len(one.cluster.nodes) == 2)
        view, other = one.cluster, two.cluster
        assert view is not None
        assert other is not None
        assert (view.name, view.node, other.node) == (cluster.name, "n1", "n2")
        assert set(view.nodes) == {view.node_id, other.node_id}
        assert not view.is_cut_off
        assert view.promise


async def test_metrics_have_it(cluster: Cluster) -> None:
    async with nodes(cluster, 2) as (one, _):
        await until(lambda: one.cluster is not None and len(one.cluster.nodes) == 2)
        page, _ = await Exposition(one, Timing(1, float)).page("")
        found = samples(page.decode())
    assert found["mqtt_cluster_nodes"] == 2
    assert found["mqtt_cluster_member"] == 1
    assert found["mqtt_cluster_engine_reachable"] == 1
    assert found["mqtt_cluster_inbox_lag_seconds"] >= 0
    assert any(name.startswith("mqtt_cluster_info") for name in found)


async def _until_said(cluster: Cluster, name: str, **figures: object) -> NodeStatus:
    """The status of a node once it says these figures."""
    async with administer(cluster) as administration:
        with trio.fail_after(60):
            while True:
                status = await administration.status()
                for node in status.nodes:
                    said = {key: getattr(node, key) for key in figures}
                    if node.name == name and said == figures:
                        return node
                await trio.sleep(0.02)


async def test_others_are_told_how_it_fares(cluster: Cluster) -> None:
    # Figures come with the lease. On a busy machine it may end: QoS 0 goes on then.
    quick = replace(cluster, lease=1.5, timeout=0.7)
    async with (
        nodes(quick, 2) as (one, two),
        open_client(one.url) as publisher,
        open_client(two.url) as subscriber,
        subscriber.subscribe("t", overflow="drop_oldest"),
    ):
        said = await _until_said(cluster, "n2", clients=1)
        assert said.state == "serving"
        assert said.lag is not None
        async with trio.open_nursery() as nursery:

            async def publish() -> None:
                while True:
                    await publisher.publish("t", b"x")
                    await trio.sleep(0.005)

            nursery.start_soon(publish)
            async with administer(cluster) as administration:
                with trio.fail_after(60):
                    while True:
                        status = await administration.status()
                        received = {node.name: node.received for node in status.nodes}
                        sent = {node.name: node.sent for node in status.nodes}
                        if (received.get("n1") or 0) > 0 and (sent.get("n2") or 0) > 0:
                            break
                        await trio.sleep(0.02)
            nursery.cancel_scope.cancel()


async def test_a_node_is_drained_by_who_asks_the_engine(cluster: Cluster) -> None:
    quick = replace(cluster, lease=0.6, timeout=0.3)
    async with nodes(quick, 2) as (one, two), open_client(one.url, client_id="c") as client:
        await until(lambda: client.connected)
        async with administer(cluster) as administration:
            status = await administration.status()
            (node,) = (node.node for node in status.nodes if node.name == "n1")
            await administration.drain(node, two.url.removeprefix("mqtt://"))
        await until(lambda: two.statistics.clients_connected == 1)
        await _until_said(cluster, "n1", clients=0, state="draining")
        assert one.is_draining
