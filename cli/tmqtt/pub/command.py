"""`tmqtt pub`: publish messages, once or on a schedule."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import trio

import trio_mqtt
from tmqtt.connecting.opening import open_connection, unanswered
from tmqtt.connecting.settings import ConnectionOptions
from tmqtt.pub.plan import PubOptions, check_topic, in_format
from tmqtt.pub.streams import Stream, Turns, streams_of
from tmqtt.pub.view import PubView, open_view
from tmqtt.terminal.sentences import TIMED_OUT, CommandError
from tmqtt.terminal.terminal import Terminal

# Seconds that they get to arrive when the time is over.
_GRACE = 2.0


async def publish(options: PubOptions, connection: ConnectionOptions, terminal: Terminal) -> None:
    """Publish as the options say; in a terminal, show how it goes.

    Raises CommandError with the code 27 where the time was over before all of it was done.
    """
    if not (options.verbose or terminal.output.is_terminal):
        terminal.output.stay_empty()
    end = math.inf if options.span is None else trio.current_time() + options.span
    begun = False
    publisher: _Publisher | None = None
    with trio.CancelScope(deadline=end) as scope:
        streams = await streams_of(options)
        begun = True
        async with open_connection(
            connection,
            terminal,
            reconnect=not options.is_single or connection.wait is True,
            patient=terminal.is_watched and not options.is_single,
        ) as client:
            scope.deadline = math.inf
            left = None if options.span is None else max(end - trio.current_time(), 0.001)
            shown = replace(options, span=left)
            async with open_view(shown, terminal, live=not connection.debug) as view:
                publisher = _Publisher(options, view, end)
                try:
                    await publisher.run(client, streams)
                finally:
                    view.end()
    if scope.cancelled_caught and options.span is not None:
        if begun:
            raise unanswered(connection, options.span)
        raise CommandError(
            f"The {options.span:g} s are over, and standard input has not ended.", TIMED_OUT
        )
    if publisher is None:
        return
    if publisher.late:
        raise CommandError(
            f"The {options.span:g} s are over, and the broker has not taken all that was sent.",
            TIMED_OUT,
        )
    if publisher.refusal is not None:
        raise publisher.refusal


class _Publisher:
    """Publishes message after message, on schedule, until a moment."""

    def __init__(self, options: PubOptions, view: PubView, end: float) -> None:
        self._options = options
        self._view = view
        self._end = end
        self._room = trio.CapacityLimiter(options.in_flight)
        # The last refusal by the broker.
        self.refusal: trio_mqtt.RequestRefusedError | None = None
        # Whether the end came before the broker had taken all.
        self.late = False

    async def run(self, client: trio_mqtt.Client, streams: list[Stream]) -> None:
        async with trio.open_nursery() as nursery:
            if self._end < math.inf:
                nursery.start_soon(self._end_in_time, client, nursery.cancel_scope)
            await self._run(client, streams)
            nursery.cancel_scope.cancel()

    async def _end_in_time(self, client: trio_mqtt.Client, scope: trio.CancelScope) -> None:
        """What is on its way at the end may arrive, but not for ever."""
        await trio.sleep_until(self._end)
        if client.connected:
            await trio.sleep(_GRACE)
        self.late = True
        scope.cancel()

    async def _run(self, client: trio_mqtt.Client, streams: list[Stream]) -> None:
        turns = Turns(streams, count=self._options.count, end=self._end)
        async with trio.open_nursery() as nursery:
            while (turn := await turns.next()) is not None:
                stream, number = turn
                given = None
                with trio.CancelScope(deadline=self._end):
                    given = await stream.payloads.next(number)
                if given is None:
                    break
                payload = in_format(self._options, given, number)
                for template in stream.topics:
                    topic = template.text(number)
                    if not template.is_constant:
                        check_topic(topic)
                    publish = partial(self._publish, client, stream, topic, payload, given)
                    if stream.qos == 0 or self._options.is_single:
                        await publish()
                        continue
                    token = object()
                    await self._room.acquire_on_behalf_of(token)
                    nursery.start_soon(publish, token)
                    await trio.lowlevel.checkpoint()  # so that they begin in their order
                await self._view.room()

    async def _publish(
        self,
        client: trio_mqtt.Client,
        stream: Stream,
        topic: str,
        payload: bytes,
        shown: bytes,
        token: object = None,
    ) -> None:
        qos = stream.qos
        if token is None and not client.connected:
            await client.wait_connected()  # before it counts as sent
        began = trio.current_time()
        self._view.sent(topic, shown, qos=qos, retain=stream.retain)
        try:
            code = await client.publish(
                topic,
                payload,
                qos=qos,
                retain=stream.retain,
                properties=stream.properties or None,
            )
        except trio_mqtt.RequestRefusedError as error:
            self.refusal = error
            self._view.refused(str(error))
        except trio.Cancelled:
            if not qos:
                self._view.not_sent()  # it has waited for a connection, and for nothing else
            raise
        else:
            if qos:
                nobody = code == trio_mqtt.ReasonCode.NO_MATCHING_SUBSCRIBERS
                self._view.acknowledged(trio.current_time() - began, nobody=nobody)
        finally:
            if token is not None:
                self._room.release_on_behalf_of(token)
