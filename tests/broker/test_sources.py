"""What counts as one address, and as one network of them."""

from __future__ import annotations

import pytest

from trio_mqtt.broker.sources import neighbourhood_of, source_of


@pytest.mark.parametrize(
    ("peer", "source", "network"),
    [
        ("192.0.2.7:1883", "192.0.2.7", "192.0.2.0/24"),
        ("192.0.2.7", "192.0.2.7", "192.0.2.0/24"),
        ("[2001:db8:1:2:3:4:5:6]:1", "2001:db8:1:2::/64", "2001:db8:1::/48"),
        ("2001:db8:1:2:ffff::9", "2001:db8:1:2::/64", "2001:db8:1::/48"),
        ("[fe80::1%eth0]:1", "fe80::/64", "fe80::/48"),
        ("[::ffff:192.0.2.7]:1", "192.0.2.7", "192.0.2.0/24"),
        ("process 12 of user 1000", "user 1000", "user 1000"),
        ("memory", "memory", "memory"),
        ("", "", ""),
    ],
)
def test_clients_count_by_where_they_come_from(peer: str, source: str, network: str) -> None:
    assert source_of(peer) == source
    assert neighbourhood_of(peer) == network
