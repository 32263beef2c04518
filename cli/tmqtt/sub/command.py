"""`tmqtt sub`: subscribe, and show each message as it arrives."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

import trio

import trio_mqtt
from tmqtt.connecting.opening import open_connection, unanswered
from tmqtt.connecting.settings import ConnectionOptions
from tmqtt.messages.formats import FormatError
from tmqtt.sub import views
from tmqtt.sub.filtering import Selection
from tmqtt.sub.latency import Latency
from tmqtt.terminal.figures import counted, span
from tmqtt.terminal.running import collect_less_often
from tmqtt.terminal.sentences import TIMED_OUT, CommandError
from tmqtt.terminal.terminal import Terminal

if TYPE_CHECKING:
    from tmqtt.messages.payload_formats import PayloadFormat
    from tmqtt.topics.numbers import Path
    from tmqtt.topics.topics import Sort


_BATCH = 256  # messages that are taken at once


@dataclass(frozen=True, slots=True, kw_only=True)
class SubOptions:
    """What to subscribe to, which messages count, how they are shown, and when it is enough.

    `share` is the part of the messages that is shown, up to 1. After `count` messages it is enough,
    or after `timeout` seconds; None goes on for ever.
    """

    subscriptions: tuple[trio_mqtt.Subscription, ...]
    identifier: int | None = None
    unsubscribe: tuple[str, ...] = ()
    filter_out: tuple[str, ...] = ()
    no_retained: bool = False
    retained_only: bool = False
    remove_retained: bool = False
    dry_run: bool = False
    share: float | None = None
    count: int | None = None
    timeout: float | None = None
    exit_after_subscribing: bool = False
    verbose: bool = False
    newline: bool = True
    text_format: str | None = None
    json: bool = False
    pretty: bool = False
    watch: bool = False
    tree: bool = False
    sort: Sort = "topic"
    plot: Path = ()
    record: str | None = None
    payload_format: PayloadFormat | None = None
    latency: Latency | None = None


class _Totals:
    """What a summary says."""

    def __init__(self) -> None:
        self.connected = False
        self.subscribed = False
        self.began = time.monotonic()
        self.messages = 0
        self.bytes = 0
        self.dropped = 0

    def sentence(self) -> str:
        seconds = time.monotonic() - self.began
        dropped = f" {self.dropped:,} were dropped: they came too fast." if self.dropped else ""
        return (
            f"{counted(self.messages, 'message')},"
            f" {self.bytes:,} bytes of payload in {span(seconds)}.{dropped}"
        )


async def subscribe(options: SubOptions, connection: ConnectionOptions, terminal: Terminal) -> None:
    """Show the messages of the filters: in a terminal for people, else the payloads as they are.

    Raises CommandError with the code 27 where `timeout` ends it.
    """
    for topic_filter in (
        *(one.topic_filter for one in options.subscriptions),
        *options.unsubscribe,
        *options.filter_out,
    ):
        problem = trio_mqtt.topic_filter_problem(topic_filter)
        if problem is not None:
            raise CommandError(
                f"The topic filter {topic_filter!r} {problem}: filters read home/kitchen,"
                " home/+/light or home/#."
            )
    totals = _Totals()
    collect_less_often()
    timeout = math.inf if options.timeout is None else options.timeout
    with _summary(terminal, totals), trio.move_on_after(timeout) as time_out:
        await _subscribe(options, connection, terminal, totals)
    if time_out.cancelled_caught:
        if not totals.connected:
            raise unanswered(connection, timeout)
        raise CommandError(f"The {timeout:g} s are over. {totals.sentence()}", TIMED_OUT)


@contextmanager
def _summary(terminal: Terminal, totals: _Totals) -> Iterator[None]:
    """After Ctrl-C, say what there was; messages that were lost, always."""
    try:
        yield
    finally:
        if totals.subscribed and (terminal.signal == signal.SIGINT or totals.dropped):
            terminal.say(totals.sentence())


async def _subscribe(
    options: SubOptions, connection: ConnectionOptions, terminal: Terminal, totals: _Totals
) -> None:
    filters = ", ".join(one.topic_filter for one in options.subscriptions)
    stays = bool(filters)  # else there is but something to be ended
    async with AsyncExitStack() as stack:
        if options.record is not None:  # before all else: the file may exist already
            from tmqtt.sub.recording import open_recording

            if _only_records(options, terminal):
                terminal.output.stay_empty()
            recording = await stack.enter_async_context(open_recording(options.record, terminal))
        client = await stack.enter_async_context(
            open_connection(
                connection,
                terminal,
                reconnect=stays,
                patient=stays and terminal.is_watched,
            )
        )
        totals.connected = True
        began = trio.current_time()
        if not stays:
            await _unsubscribe(options, connection, client, terminal)
            return
        messages = await stack.enter_async_context(
            client.subscribe(
                *options.subscriptions,
                subscription_identifier=options.identifier,
                # The session ends with the connection, or is to go on: no UNSUBSCRIBE.
                unsubscribe=False,
            )
        )
        if options.unsubscribe:
            await _unsubscribe(options, connection, client, terminal)
        if options.exit_after_subscribing:
            return
        totals.subscribed = True
        source: _Source = messages
        ends = options.retained_only or options.remove_retained
        if ends:
            from tmqtt.sub.retained import RetainedMessages

            source = RetainedMessages(client, messages, trio.current_time() - began)
        shown: list[views.View] = [_decoded(options, terminal, f"{filters} at {client.url}")]
        if options.record is not None:
            shown.append(recording)
        if options.remove_retained:
            from tmqtt.sub.removing import Remover

            shown.append(Remover(client, terminal, dry_run=options.dry_run))
        if terminal.output.is_terminal and terminal.tell is None:
            terminal.say(f"Subscribed to {filters} at {client.url}. Ctrl-C ends it.")
        failure: trio_mqtt.MqttError | None = None
        try:
            async with trio.open_nursery() as nursery:
                for view in shown:
                    nursery.start_soon(view.run)
                try:
                    await _show(options, source, shown, totals)
                except trio_mqtt.MqttError as error:
                    failure = error  # raised outside of the nursery, which would wrap it
                nursery.cancel_scope.cancel()
        finally:
            totals.dropped = messages.dropped
            for view in shown:
                view.end()
        if failure is not None:
            raise failure
        if ends and not totals.messages:
            terminal.say(f"Nothing that is retained matches {filters}.")


async def _unsubscribe(
    options: SubOptions,
    connection: ConnectionOptions,
    client: trio_mqtt.Client,
    terminal: Terminal,
) -> None:
    """End what an earlier run has left."""
    properties = connection.packet_properties.get("unsubscribe")
    codes = await client.unsubscribe(
        *options.unsubscribe, properties=cast(trio_mqtt.Properties, properties) or None
    )
    for topic_filter, code in zip(options.unsubscribe, codes, strict=True):
        if code == trio_mqtt.ReasonCode.NO_SUBSCRIPTION_EXISTED:
            terminal.say(f"{client.client_id} had no subscription to {topic_filter!r}.")


def _only_records(options: SubOptions, terminal: Terminal) -> bool:
    """Whether all goes to a file, and nothing is printed."""
    return (
        options.record != "-"
        and not (options.watch or options.tree or options.json or terminal.output.is_terminal)
        and options.text_format is None
    )


class _Source(Protocol):
    async def take(self, limit: int) -> list[trio_mqtt.Message]:
        """Up to `limit` messages, at least one. Raises StopAsyncIteration after the last."""
        ...


async def _show(
    options: SubOptions,
    messages: _Source,
    shown: Sequence[views.View],
    totals: _Totals,
) -> None:
    selection = Selection(
        filter_out=options.filter_out,
        no_retained=options.no_retained,
        retained_only=options.retained_only,
        no_live=options.remove_retained,
        share=options.share,
    )
    # The time of day when it began, and from then on a clock that is never set.
    offset = time.time_ns() - time.monotonic_ns()
    left = math.inf if options.count is None else options.count
    while left and not selection.over:
        try:
            batch: Sequence[trio_mqtt.Message] = await messages.take(_BATCH)
        except StopAsyncIteration:
            return
        moment = offset + time.monotonic_ns()
        if selection.selects:
            batch = selection.of(batch)
        if len(batch) > left:
            batch = batch[: int(left)]
        if batch:
            left -= len(batch)
            totals.messages += len(batch)
            totals.bytes += sum([len(message.payload) for message in batch])
            for view in shown:
                await view.show(batch, moment)


def _decoded(options: SubOptions, terminal: Terminal, title: str) -> views.View:
    view = _view(options, terminal, title)
    if options.payload_format is None:
        return view
    from tmqtt.sub.decoding import Decoding

    def complain(topic: str, wrong: str) -> None:
        terminal.warn(f"The payload of a message on {topic} is {wrong}.")

    return Decoding(view, options.payload_format, None if view.marks else complain)


def _view(options: SubOptions, terminal: Terminal, title: str) -> views.View:
    output = terminal.output
    if options.record == "-":
        return views.View()
    if options.watch or options.tree:
        from tmqtt.sub.topics_view import TopicsView

        return TopicsView(terminal, title, tree=options.tree, order=options.sort, path=options.plot)
    if options.text_format is not None:
        try:
            line = views.formatted(
                terminal,
                options.text_format,
                newline=options.newline,
                pretty=options.pretty,
                latency=options.latency,
            )
        except FormatError as error:
            raise CommandError(str(error)) from None
        return views.Lines(output, line)
    if options.json:
        return views.Lines(output, views.json_lines(output, options.latency, pretty=options.pretty))
    if output.is_terminal and options.newline:
        from tmqtt.sub.people_view import PeopleView  # of Rich, which is not needed in a pipe

        return PeopleView(output, options.latency)
    if options.record is not None:
        return views.View()
    line = views.raw(output, with_topic=options.verbose, newline=options.newline)
    if options.latency is not None:
        line = views.timed(line, options.latency)
    return views.Lines(output, line)
