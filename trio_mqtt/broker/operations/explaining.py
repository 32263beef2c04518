"""Who would get a message, and what a client may do: what the broker would decide, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.access.permissions import answer, rule_that_decides
from trio_mqtt.broker.access.protocols import ClientInfo
from trio_mqtt.broker.operations.finding import link_of
from trio_mqtt.broker.operations.forms.explaining import (
    MayAnswer,
    MayQuery,
    Recipient,
    WhoAnswer,
    WhoQuery,
)
from trio_mqtt.broker.operations.turns import chosen, made, page
from trio_mqtt.broker.routing.filters import TopicFilter
from trio_mqtt.broker.sessions.delivery_state import session_key
from trio_mqtt.broker.sessions.session import Session
from trio_mqtt.broker.sessions.subscription import Subscription

if TYPE_CHECKING:
    from trio_mqtt.broker.access.in_force import AccessInForce
    from trio_mqtt.broker.access.protocols import AccessRules
    from trio_mqtt.broker.core import Core


class Explaining:
    """What one broker would decide."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def who(self, asked: WhoQuery) -> WhoAnswer:
        """Whom a message would reach."""
        core = self._core
        author = None
        why_not = None
        if asked.client_id is not None:
            author = core.sessions.get(asked.client_id)
            may = self._may(
                MayQuery(client_id=asked.client_id, action="publish", topic=asked.topic)
            )
            why_not = None if may.allowed else may.rule
        reached, elsewhere = core.router.index.reached(asked.topic)
        found = await chosen(reached, lambda one: isinstance(one, Subscription))
        views = await made(
            page(found, asked),
            lambda one: (
                self._recipient(one, asked, author, why_not)
                if isinstance(one, Subscription) and not one.closed
                else None
            ),
        )
        items = [view for view in views if view is not None]
        return WhoAnswer(
            items=tuple(items),
            total=len(found),
            published=why_not is None,
            why_not=why_not,
            elsewhere=elsewhere,
        )

    async def may(self, asked: MayQuery) -> MayAnswer:
        """Whether a client may do something."""
        await trio.lowlevel.checkpoint()
        return self._may(asked)

    def _recipient(
        self,
        subscription: Subscription,
        asked: WhoQuery,
        author: Session | None,
        not_published: str | None,
    ) -> Recipient:
        session = subscription.session
        target, topic_filter = subscription.target, subscription.topic_filter
        permissions = session.permissions
        why_not = not_published
        if why_not is None and target.no_local and session is author:
            why_not = "it wants nothing that it publishes itself (no local)"
        if why_not is None and permissions is not None and not permissions.may_receive(asked.topic):
            rules = permissions.rules
            why_not = rule_that_decides(rules, "receive", permissions.client, asked.topic)
        qos = min(asked.qos, target.qos)
        if why_not is None and session.outlet is None and not qos:
            why_not = "it is away, and messages of QoS 0 do not wait"
        return Recipient(
            client_id=session.client_id,
            mount_point=session.mount_point,
            topic_filter=topic_filter.text,
            qos=qos,
            share=topic_filter.share or None,
            connected=session.outlet is not None,
            gets_it=why_not is None,
            why_not=why_not,
        )

    def _may(self, asked: MayQuery) -> MayAnswer:
        core = self._core
        session = core.sessions.get(session_key(asked.client_id, asked.mount_point))
        link = None if session is None else link_of(session)
        access: AccessInForce
        if link is not None and link.identity is not None:
            access, client = link.access, link.identity.client
        else:
            access = core.listeners.get(asked.listener, core.settings).access
            owner = None if session is None else session.owner
            username = owner if asked.username is None else asked.username
            client = ClientInfo(
                client_id=asked.client_id,
                username=username,
                address="",
                protocol_version="5",
                listener=asked.listener,
                authenticated=username is not None,
            )
        rules = access.rules.rules
        if session is not None and session.permissions is not None and link is not None:
            rules, client = session.permissions.rules, session.permissions.client
        problem = self._problem(asked)
        if problem:
            allowed, rule = False, problem
        else:
            allowed, rule = _answer(rules, asked, client)
        return MayAnswer(
            allowed=allowed,
            rule=rule,
            username=client.username,
            known=session is not None,
            hooks=access.hooks is not None
            and (access.asks_publish or access.asks_subscribe or access.asks_delivery),
        )

    def _problem(self, asked: MayQuery) -> str | None:
        """What speaks against it, whoever the client is; None for nothing."""
        core = self._core
        is_answered = asked.topic.partition("/")[0] in core.answerers
        if asked.action == "publish" and not is_answered:
            return core.reserved_because(asked.topic) or None
        return core.too_long(asked.topic)


def _answer(rules: AccessRules | None, asked: MayQuery, client: ClientInfo) -> tuple[bool, str]:
    if rules is None:
        return True, "no rules"
    question = {
        "publish": rules.may_publish,
        "subscribe": rules.may_subscribe,
        "receive": rules.may_receive,
    }[asked.action]
    topic = TopicFilter(asked.topic).plain if asked.action == "subscribe" else asked.topic
    allowed = answer(question, client, topic)
    return allowed, rule_that_decides(rules, asked.action, client, topic)
