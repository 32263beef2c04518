"""A cluster seen from outside, for those that run one: what its nodes do.

async with trio_mqtt.administration.administer(cluster) as administration:
    status = await administration.status()

"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_mqtt.lazy_names import load_lazily

if TYPE_CHECKING or not load_lazily(__name__):
    from trio_mqtt.broker.elsewhere import ClusterView as ClusterView
    from trio_mqtt.cluster.administering import ClusterAdministration as ClusterAdministration
    from trio_mqtt.cluster.administering import administer as administer
    from trio_mqtt.cluster.status import ClusterStatus as ClusterStatus
    from trio_mqtt.cluster.status import NodeStatus as NodeStatus
