"""The endpoints: one for each operation, and logging in and out."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any

import trio
from starlette.applications import Starlette
from starlette.datastructures import Address
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from trio_mqtt.broker.operations.table import OPERATIONS, Operation, Role
from trio_mqtt.broker.sources import source_of
from trio_mqtt.errors import MqttError
from trio_mqtt.transport.peers import Networks
from trio_mqtt.web import audit
from trio_mqtt.web.connections import is_http_1, known
from trio_mqtt.web.description import written_description
from trio_mqtt.web.json_forms import of_body, of_query, written, written_in_turns
from trio_mqtt.web.page_files import page_files
from trio_mqtt.web.parts import JsonResponse, send_reading_on
from trio_mqtt.web.people import COOKIE, Asker, Failures, People, is_csrf
from trio_mqtt.web.problems import ProblemError, problem_of
from trio_mqtt.web.streams import EventStreamResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from trio_mqtt.broker.broker import Broker
    from trio_mqtt.monitoring.metrics_server import MetricsServer
    from trio_mqtt.web.options import WebOptions

logger = logging.getLogger("trio_mqtt.web")

_LARGEST = 2 * 1024 * 1024  # bytes of a body that has a message
_LARGEST_OTHER = 256 * 1024  # of one that has none
_LARGEST_LOGIN = 16 * 1024  # of who is not known yet
_HEARD_OUT = 8 * 1024 * 1024  # bytes beyond that are read, so that who sends them hears why
_BODY_TIME = 30.0  # seconds for it to come
_REFUSAL_TIME = 30.0  # seconds for a refusal to be taken
_HEALTH = ("/healthz", "/readyz")  # which do not count among the requests at one time
_SAFE = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}

OWNER = Asker("the broker's own user", Role.ADMINISTRATE)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Credentials:
    user: str
    password: str


class Api:
    """What is answered about one broker. `owner` is who asks without saying so, if anybody does."""

    def __init__(
        self,
        broker: Broker,
        options: WebOptions,
        *,
        owner: Asker | None = None,
        metrics: MetricsServer | None = None,
    ) -> None:
        self._broker = broker
        self._metrics = metrics
        self._administration = broker.administration
        self._people = People(options, broker.administration.is_disabled)
        self._failures = Failures(options.failed_logins_per_minute)
        self._proxies = Networks(options.trusted_proxies, "the HTTP API")
        self._is_secure = options.certificate is not None
        self._owner = owner
        self._free = options.maximum_requests
        self._coming: dict[trio.CancelScope, None] = {}  # bodies, those first that began first

    def app(self) -> ASGIApp:
        """The application."""
        ways: dict[str, dict[str, Operation]] = {}
        for operation in OPERATIONS:
            ways.setdefault("/api/v1" + operation.path, {})[operation.method] = operation
        routes = [
            Route(path, self._answering(partial(self._operation, at)), methods=[*at])
            for path, at in ways.items()
        ]
        others: list[tuple[str, str, Callable[[Request], Awaitable[Response]]]] = [
            ("/api/v1/login", "POST", self._log_in),
            ("/api/v1/logout", "POST", self._log_out),
            ("/api/v1/session", "GET", self._session),
            ("/api/v1/openapi.json", "GET", self._describe),
            ("/healthz", "GET", self._health),
            ("/readyz", "GET", self._ready),
        ]
        if self._metrics is not None:
            others.append(("/metrics", "GET", partial(self._show_metrics, self._metrics)))
        routes += [Route(path, self._answering(one), methods=[by]) for path, by, one in others]
        for path, file in page_files().items():
            routes.append(Route(path, file.answer, methods=["GET"]))
        starlette = Starlette(routes=routes, exception_handlers={HTTPException: _http_problem})
        starlette.router.redirect_slashes = False  # to a host that whoever asks has named
        return partial(self._bounded, starlette)

    async def _bounded(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer so many requests at one time; whose body does not come makes room."""
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        if scope["path"] in _HEALTH and is_http_1(scope):  # short, and no answer means a restart
            await app(scope, receive, partial(send_reading_on, receive, send))
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            # Who takes nothing of it is not waited for.
            with trio.move_on_after(_REFUSAL_TIME):
                await _problem(refusal)(scope, receive, partial(send_reading_on, receive, send))
            return
        self._free -= 1
        is_counted = True

        async def send_and_free(message: Message) -> None:
            nonlocal is_counted
            if is_counted and _is_made(message):  # who does not read it keeps no other from asking
                is_counted = False
                self._free += 1
            await send_reading_on(receive, send, message)

        try:
            await app(scope, receive, send_and_free)
        finally:
            self._free += is_counted

    def _refusal(self, scope: Scope) -> ProblemError | None:
        """Why a request is not looked at. A body that does not come makes room for it."""
        if not is_http_1(scope):
            return ProblemError(505, "HTTP/1.1 is spoken here, and no HTTP/2.")
        names = {name for name, _ in scope["headers"]}
        if names >= {b"content-length", b"transfer-encoding"}:
            # Where a proxy takes the one for the end of a request and the server the other, what
            # somebody sends goes for the request of another (RFC 9112 §11.2).
            return ProblemError(
                400, "A body has a length, or comes in chunks.", {"Connection": "close"}
            )
        if self._free > 0:
            return None
        if not self._coming:
            return ProblemError(503, "Too much is asked at one time.", {"Retry-After": "1"})
        slowest = next(iter(self._coming))
        del self._coming[slowest]
        slowest.cancel()
        return None

    def _answering(
        self, endpoint: Callable[[Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            try:
                response = await endpoint(request)
            except ProblemError as problem:
                return _problem(problem)
            except MqttError as error:
                return _problem(problem_of(error))
            except Exception:
                logger.exception("%s %s could not be answered", request.method, request.url.path)
                return _problem(ProblemError(500, "A defect was met, which the log tells of."))
            response.headers.update(_SAFE)
            return response

        return answer

    # -- who asks -------------------------------------------------------------------------------

    def _asker(self, request: Request, *, changes: bool) -> Asker:
        """Who asks. Raises ProblemError where nobody knows, or another page rides on a cookie."""
        if self._owner is not None:
            return self._owner
        authorization = request.headers.get("authorization", "")
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() == "bearer":
            asker = self._people.by_token(token.strip())
        else:
            asker = self._people.by_cookie(request.cookies.get(COOKIE, ""))
        if asker is None:
            raise ProblemError(
                401, "Log in, or show a token.", {"WWW-Authenticate": 'Bearer realm="trio-mqtt"'}
            )
        known(request.scope)
        if changes and asker.login is not None:
            shown = request.headers.get("x-csrf-token", "")
            if not is_csrf(asker.login, shown):
                raise ProblemError(403, "X-CSRF-Token is not what logging in has answered.")
        return asker

    async def _log_in(self, request: Request) -> Response:
        credentials: _Credentials = of_body(_Credentials, await self._body(request, _LARGEST_LOGIN))
        address = self._address(request)
        source = source_of(address)  # a /64 of IPv6 has more addresses than there are to remember
        wait = self._failures.wait(credentials.user, source)
        if wait:
            audit.record_login(credentials.user, address, "too many passwords were wrong")
            raise ProblemError(
                429, "Too many passwords were wrong.", {"Retry-After": str(int(wait) + 1)}
            )
        self._failures.count(credentials.user, source)
        is_right = await self._administration.check_password(
            credentials.user, credentials.password, address
        )
        role = self._people.role_of(credentials.user)
        if not is_right or role is None:
            audit.record_login(credentials.user, address, "the password is wrong, or no role")
            raise ProblemError(401, "The user name or the password is wrong, or has no role here.")
        self._failures.was_right(credentials.user, source)
        value, login = self._people.log_in(credentials.user)
        audit.record_login(credentials.user, address, "logged in")
        response = _json({"user": login.username, "role": role.name.lower(), "csrf": login.csrf})
        response.set_cookie(
            COOKIE,
            value,
            path="/",
            secure=self._is_encrypted(request),
            httponly=True,
            samesite="strict",
        )
        return response

    async def _log_out(self, request: Request) -> Response:
        asker = self._asker(request, changes=True)
        if asker.login is not None:
            self._people.log_out(request.cookies.get(COOKIE, ""))
            audit.record_login(asker.name, self._address(request), "logged out")
        response = _json({"user": asker.name})
        response.delete_cookie(COOKIE, path="/")
        return response

    async def _session(self, request: Request) -> Response:
        asker = self._asker(request, changes=False)
        csrf = None if asker.login is None else asker.login.csrf
        return _json({"user": asker.name, "role": asker.role.name.lower(), "csrf": csrf})

    async def _body(self, request: Request, largest: int) -> bytes:
        """The body of a request, which is JSON. Raises ProblemError."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise ProblemError(415, "The body is to be application/json.")
        parts: list[bytes] = []
        left = largest
        with trio.move_on_after(_BODY_TIME) as scope:
            self._coming[scope] = None
            try:
                async with aclosing(request.stream()) as coming:
                    async for part in coming:
                        left -= len(part)
                        if left >= 0:
                            parts.append(part)
                        elif left < -_HEARD_OUT:
                            break
            except ClientDisconnect:
                raise ProblemError(400, "The body has ended too early.") from None
            finally:
                self._coming.pop(scope, None)
        if left < 0:
            raise ProblemError(413, f"A body has {largest} bytes at most.")
        if scope.cancelled_caught:
            raise ProblemError(408, "The body did not come in time.")
        return b"".join(parts)

    # -- operations -----------------------------------------------------------------------------

    async def _operation(self, ways: dict[str, Operation], request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        operation = ways[method]
        asker = self._asker(request, changes=operation.changes)
        if asker.role < operation.role:
            if operation.changes:
                self._record(asker, request, operation, None, "it may not")
            raise ProblemError(
                403, f"This takes the role {operation.role.name.lower()}, or one above it."
            )
        if operation.method == "POST":
            has_message = any(one.name == "payload" for one in dataclasses.fields(operation.asked))
            largest = _LARGEST if has_message else _LARGEST_OTHER
            asked = of_body(operation.asked, await self._body(request, largest))
        else:
            asked = of_query(operation.asked, request.query_params.multi_items())
        if operation.streams:
            return self._stream(operation, asked, asker)
        if not operation.changes:
            return await _answered(await self._administration.perform(operation, asked))
        if hasattr(asked, "by"):
            asked = dataclasses.replace(asked, by=asker.name)
        try:
            answer = await self._administration.perform(operation, asked)
        except MqttError as error:
            self._record(asker, request, operation, asked, str(error))
            raise
        if audit.is_change(asked):
            self._record(asker, request, operation, asked, "done")
        return await _answered(answer)

    def _record(
        self, asker: Asker, request: Request, operation: Operation, asked: object, outcome: str
    ) -> None:
        """Have a change in the audit log, and tell whoever follows what happens."""
        told = audit.record(asker, self._address(request), operation.name, asked, outcome)
        self._administration.tell(told)

    def _address(self, request: Request) -> str:
        """From where somebody asks: behind a trusted proxy, as that says."""
        client = request.client
        if client is None or not client.host:
            return "its Unix socket"
        forwarded = request.headers.getlist("x-forwarded-for")
        return self._proxies.forwarded(_peer(client), forwarded)

    def _is_encrypted(self, request: Request) -> bool:
        """Whether it is HTTPS by which somebody asks, as a trusted proxy says, or as we know."""
        said = request.headers.get("x-forwarded-proto", "").strip().lower()
        client = request.client
        return self._is_secure or (
            said == "https" and client is not None and self._proxies.has(_peer(client))
        )

    def _stream(self, operation: Operation, asked: Any, asker: Asker) -> Response:  # noqa: ANN401
        source = getattr(self._administration, operation.name)(asked)

        def may_go_on() -> bool:
            return asker.login is None or self._people.is_valid(asker.login)

        def refused(error: MqttError) -> Response:
            return _problem(problem_of(error))

        return EventStreamResponse(source, operation.name, may_go_on, refused)

    # -- beside ---------------------------------------------------------------------------------

    async def _describe(self, _request: Request) -> Response:
        return JsonResponse(await trio.to_thread.run_sync(written_description))

    async def _health(self, _request: Request) -> Response:
        return Response(b"ok\n", media_type="text/plain")

    async def _ready(self, _request: Request) -> Response:
        problems = (await self._broker.readings()).problems
        if problems:
            return Response("".join(f"{one}\n" for one in problems), 503, media_type="text/plain")
        return Response(b"ok\n", media_type="text/plain")

    async def _show_metrics(self, metrics: MetricsServer, request: Request) -> Response:
        self._asker(request, changes=False)
        body, kind = await metrics.page(request.headers.get("accept", ""))
        return Response(body, headers={"Content-Type": kind})


def _peer(client: Address) -> str:
    host = f"[{client.host}]" if ":" in client.host else client.host
    return f"{host}:{client.port}"


def _is_made(message: Message) -> bool:
    """Whether all of an answer is there by this part of it, and has only to be taken."""
    if message["type"] == "http.response.start":
        return any(name == b"content-length" for name, _ in message["headers"])
    return message["type"] == "http.response.body" and not message.get("more_body", False)


def _json(value: object) -> Response:
    return JsonResponse(written(value))


async def _answered(answer: object) -> Response:
    body = await written_in_turns(answer)
    del answer  # to let go of much takes a while, which is a turn of its own
    await trio.lowlevel.checkpoint()
    return JsonResponse(body)


def _problem(problem: ProblemError) -> Response:
    return Response(
        written(problem.body),
        problem.status,
        headers={**_SAFE, **problem.headers},
        media_type="application/problem+json",
    )


async def _http_problem(_request: Request, error: Exception) -> Response:
    status, headers = 500, None
    if isinstance(error, HTTPException):
        status, headers = error.status_code, error.headers
    told = {404: "There is nothing here.", 405: "This is not asked for so."}
    return _problem(ProblemError(status, told.get(status, "It cannot be answered."), headers))
