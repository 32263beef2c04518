"""`$CONTROL/dynamic-security/v1`: users, groups and roles changed by those who may.

A request is a message of commands, done one after the other, whole requests in their order: what
takes long (JSON, hashes, the file) in threads, so that clients are served meanwhile. What a request
changes is first written, then in force, then answered: to its sender alone, on
`$CONTROL/dynamic-security/v1/response`, as far as it has subscribed to that.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import trio

from trio_mqtt.broker.answering import CONTROL
from trio_mqtt.broker.routing.batch import Batch
from trio_mqtt.broker.sessions.session import Session
from trio_mqtt.broker.turns import ShortTurn
from trio_mqtt.errors import ConfigurationError, NotFoundError
from trio_mqtt.protocol.packets import Publish

if TYPE_CHECKING:
    from trio_mqtt.broker.access.dynamic.commands import Outcome, Request
    from trio_mqtt.broker.access.dynamic.security import DynamicSecurity
    from trio_mqtt.broker.access.files.hashes import PasswordHash
    from trio_mqtt.broker.core import Core
    from trio_mqtt.broker.reconfiguring import Reconfiguring
    from trio_mqtt.broker.routing.published import Author

TOPIC = CONTROL + "/dynamic-security/v1"
RESPONSE = TOPIC + "/response"

# Requests that wait for those before them: a few clients give them, mostly one.
_MOST_WAITING = 100
_PASSES = 2  # of Trio's loop, in which a subscription's task sends what waits
_MOST_BYTES = 4 * 1024 * 1024

Responses: TypeAlias = Sequence[Mapping[str, object]]

logger = logging.getLogger("trio_mqtt.access")


class DynamicControl:
    """An `Answerer` for requests, while dynamic security is in force."""

    def __init__(self, core: Core, reconfiguring: Reconfiguring) -> None:
        self._core = core
        self._reconfiguring = reconfiguring
        self._waiting: deque[tuple[Session, bytes]] = deque()
        self._bytes = 0
        self._is_working = False
        reconfiguring.access_changed = self.look
        self.look()

    def look(self) -> None:
        """Be asked from when on dynamic security is in force, which it may be now."""
        if self._core.access.dynamic is not None:
            self._core.answer(CONTROL, self)

    def ask(self, sender: Author, message: Publish) -> bool:
        """Take a request; False where it is none, or who sends it has nothing to say here."""
        if not isinstance(sender, Session) or message.topic != TOPIC or not self._may(sender):
            return False
        if len(self._waiting) >= _MOST_WAITING or self._bytes + message.payload_size > _MOST_BYTES:
            self._refuse(sender, "Too many requests wait")
            return True
        tasks = self._core.tasks
        if tasks is None:
            return False
        self._waiting.append((sender, message.payload))
        self._bytes += message.payload_size
        if not self._is_working:
            self._is_working = True
            tasks.start_soon(self._work)
        return True

    def _may(self, session: Session) -> bool:
        """Whether a client is connected, and may give commands by what is in force for all.

        A listener with an access of its own is another realm.
        """
        permissions, access = session.permissions, self._core.access
        return (
            session.outlet is not None
            and permissions is not None
            and permissions.in_force is access.rules
            and permissions.may_publish(TOPIC)
            and access.dynamic is not None
            and access.dynamic.refusal(permissions.client) is None
        )

    async def _work(self) -> None:
        """Do what waits, then end: the next request begins another."""
        try:
            while self._waiting:
                session, payload = self._waiting.popleft()
                self._bytes -= len(payload)
                try:
                    await self._serve(session, payload)
                except Exception:
                    logger.exception("A request of %r could not be done", session.client_id)
                    self._refuse(session, "Internal error")
        finally:
            self._is_working = False

    async def do(self, commands: Sequence[Mapping[str, object]]) -> list[dict[str, object]]:
        """Do the commands of whoever runs the broker, and return their responses.

        Raises NotFoundError where there is no dynamic security.
        """
        from trio_mqtt.broker.access.dynamic.commands import Request

        request = Request(commands)
        hashes = await self._hashes(request)
        responses: Responses = ()

        async def change() -> bool:
            nonlocal responses
            dynamic = self._core.access.dynamic
            if dynamic is None:
                raise NotFoundError("This broker has no dynamic security.")
            responses, outcome, changed = await self._kept(dynamic, request, hashes)
            if changed is None:
                return False
            # Whoever asks may go at any time, but not between what is kept and what is in force.
            self._core.access.dynamic_changed(changed)
            self._tell(outcome, "Who administrates the broker")
            return True

        checked = await self._reconfiguring.change_dynamic(change)
        if checked is not None:
            await checked.wait()
        return await _in_plain(responses)

    async def _serve(self, session: Session, payload: bytes) -> None:
        from trio_mqtt.broker.access.dynamic.commands import Request

        request = await trio.to_thread.run_sync(Request, payload)
        hashes = await self._hashes(request)
        checked = await self._reconfiguring.change_dynamic(
            partial(self._change, session, request, hashes)
        )
        if checked is not None:
            await checked.wait()

    async def _hashes(self, request: Request) -> list[PasswordHash]:
        """What the passwords of a request are hashed to."""
        from trio_mqtt.broker.access.files.hashes import make_hash

        return [
            await self._core.access.password_checks.hash(partial(make_hash, password, "pbkdf2"))
            for password in request.passwords
        ]

    async def _change(self, session: Session, request: Request, hashes: list[PasswordHash]) -> bool:
        """Do a client's request and answer it; whether something else is in force now."""
        dynamic = self._core.access.dynamic
        if dynamic is None or not self._may(session):
            self._refuse(session, "Not authorized")  # any more
            return False
        responses, outcome, changed = await self._kept(dynamic, request, hashes)
        answer = await _payload(responses)
        if changed is None:
            self._answer(session, answer)
            return False
        username = None if session.permissions is None else session.permissions.client.username
        self._tell(outcome, f"{session.client_id!r} (user {username!r})")
        stays = self._stays(session, changed)
        if not stays:
            # What it has taken from itself holds after the answer, which is to reach it.
            self._answer(session, answer)
            for _ in range(_PASSES):
                await trio.lowlevel.checkpoint()
        self._core.access.dynamic_changed(changed)
        if stays:
            self._answer(session, answer)
        return True

    async def _kept(
        self, dynamic: DynamicSecurity, request: Request, hashes: list[PasswordHash]
    ) -> tuple[Responses, Outcome, DynamicSecurity | None]:
        """The answer to a request, and what is kept of it but not in force yet, if anything."""
        outcome = await trio.to_thread.run_sync(request.done_to, dynamic.state, hashes)
        if not outcome.changed:
            return outcome.responses, outcome, None
        changed = dynamic.changed(outcome.state)
        try:
            await trio.to_thread.run_sync(changed.save)
        except ConfigurationError as error:
            logger.error("%s Nothing has changed.", error)  # noqa: TRY400  # a sentence says it all
            return outcome.unkept("The change could not be written"), outcome, None
        return outcome.responses, outcome, changed

    def _stays(self, session: Session, changed: DynamicSecurity) -> bool:
        """Whether who has changed something is let on, and may have the answer, after that."""
        permissions, access = session.permissions, self._core.access
        if permissions is None or access.dynamic is None:
            return False
        client, rules = permissions.client, access.rules_with(changed)
        name = client.username or ""
        return (
            changed.refusal(client) is None
            and changed.users.entry(name) == access.dynamic.users.entry(name)
            and rules.may_publish(client, TOPIC)
            and rules.may_receive(client, RESPONSE)
        )

    def _tell(self, outcome: Outcome, who: str) -> None:
        """Say in the log who has changed something, and by which commands."""
        names = [
            str(response["command"])
            for response, changing in zip(outcome.responses, outcome.changing, strict=True)
            if changing
        ]
        logger.info("%s has changed dynamic security: %s", who, ", ".join(names))

    def _refuse(self, session: Session, why: str) -> None:
        from trio_mqtt.broker.access.dynamic.commands import refusal_of

        self._answer(session, refusal_of(why))

    def _answer(self, session: Session, payload: bytes) -> None:
        """Send an answer to the client, if it has subscribed to it and is still there."""
        answer = Publish(RESPONSE, payload, 0)
        batch = Batch([answer], received_at=trio.current_time())
        self._core.router.pass_on([batch], session)


async def _payload(responses: Responses) -> bytes:
    """The payload of an answer, made in turns."""
    from trio_mqtt.broker.access.dynamic.commands import payload_of

    parts: list[bytes] = []
    turn = ShortTurn()
    for piece in payload_of(responses):
        parts.append(piece)
        if turn.is_over:
            await turn.give_way()
    return b"".join(parts)


async def _in_plain(responses: Responses) -> list[dict[str, object]]:
    """The same as lists of what there is, made in turns."""
    from trio_mqtt.broker.access.dynamic.views import Views

    plain: list[dict[str, object]] = []
    turn = ShortTurn()
    for response in responses:
        plain.append(dict(response))
        data = response.get("data")
        if isinstance(data, dict):
            plain[-1]["data"] = copied = dict(data)
            for name, value in data.items():
                if isinstance(value, Views):
                    copied[name] = found = []
                    for one in value:
                        found.append(one)
                        if turn.is_over:
                            await turn.give_way()
    return plain
