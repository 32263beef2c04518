"""Which subscriptions a message can be for, alone and in groups."""

from __future__ import annotations

from tests.durability.account import Account, Delivery, Life, Message


def candidates(account: Account, delivery: Delivery, message: Message) -> list[Life]:
    """The subscriptions that a delivery can be for.

    In a cluster, what waits for a group is for all of it, also for who has joined it since; and of
    what was sent again at QoS 1, another node may take on what it was sent before, once it can.
    """
    lives = account.lives_for(message.topic)
    waits_for = {life.group for life in lives if life.group and life.may_have(message)}
    comes_late = account.has_nodes and message.qos == 1 and message.was_resent
    return [
        life
        for life in lives
        if life.client == delivery.client
        and (
            life.may_have(message)
            or (account.has_nodes and life.group in waits_for and life.invoked < delivery.index)
            or (comes_late and life.invoked < delivery.index and message.invoked < life.over)
        )
    ]


def groups(account: Account) -> dict[tuple[str, str], list[Life]]:
    """The members of each shared subscription, by share name and filter."""
    found: dict[tuple[str, str], list[Life]] = {}
    for life in account.lives:
        if life.group is not None:
            found.setdefault(life.group, []).append(life)
    return found
