"""What a terminal shows of several workers: their lines, and below them how all of them fare."""

from __future__ import annotations

from collections.abc import Collection

import trio

import trio_mqtt
from tmqtt.terminal import looks
from tmqtt.terminal.escaping import escape
from tmqtt.terminal.figures import counted, rate
from tmqtt.terminal.looks import Line, Painter
from tmqtt.terminal.output import Output
from tmqtt.terminal.streams import encoded
from tmqtt.terminal.terminal import Terminal
from trio_mqtt.administration import NodeStatus, administer

_LOOK = 1.0  # seconds between two looks


class WorkersScreen:
    """Draws in a terminal; elsewhere what is put is printed as it is."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        painter = Painter() if terminal.output.is_terminal else None
        self._painter = painter if painter is not None and painter.can_redraw else None
        self._status = ""
        if self._painter is not None:
            terminal.tell = self._tell

    def put(self, lines: bytes, to: Output) -> None:
        """Print whole lines; in a terminal above the last one."""
        if self._painter is None:
            to.put(lines)
        else:
            self._terminal.output.redraw(self._status, above=lines)

    async def follow(self, cluster: trio_mqtt.Cluster, names: Collection[str]) -> None:
        """Say in the last line how the nodes of these names fare, until cancelled."""
        if self._painter is None:
            return
        try:
            async with administer(cluster) as administration:
                while True:
                    try:
                        status = await administration.status()
                    except trio_mqtt.EngineError as error:
                        self._show(((escape(str(error)), looks.WARNING),))
                    else:
                        nodes = [node for node in status.nodes if node.name in names]
                        self._show(status_line(nodes, len(names)))
                    await trio.sleep(_LOOK)
        finally:
            self._status = ""
            self._terminal.output.redraw("")

    def _tell(self, sentence: str) -> None:
        self.put(encoded(f"{sentence}\n"), self._terminal.output)

    def _show(self, line: Line) -> None:
        if self._painter is None:
            return
        drawn = self._painter.paint_within(line)
        if drawn != self._status:
            self._status = drawn
            self._terminal.output.redraw(drawn)


def status_line(nodes: Collection[NodeStatus], wanted: int) -> Line:
    """How these nodes fare together; fewer than are wanted stand out."""
    separator = (" · ", looks.NOTE)
    few = len(nodes) < wanted
    workers = f"{len(nodes)} of {counted(wanted, 'worker')}" if few else counted(wanted, "worker")
    received = sum(node.received or 0.0 for node in nodes)
    sent = sum(node.sent or 0.0 for node in nodes)
    return (
        (workers, looks.WARNING if few else looks.STRONG),
        separator,
        (counted(sum(node.clients or 0 for node in nodes), "client"), looks.STRONG),
        separator,
        (f"{rate(received)}/s in, {rate(sent)}/s out", looks.STRONG),
    )
