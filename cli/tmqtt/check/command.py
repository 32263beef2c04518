"""Goes through the checks, and shows each row as soon as it is known."""

from __future__ import annotations

from dataclasses import replace

import trio

from tmqtt.check import probes
from tmqtt.check.findings import WRONG, Finding, as_json, lines_of
from tmqtt.check.tls import check_tls
from tmqtt.connecting.opening import arguments
from tmqtt.connecting.settings import ConnectionOptions, servers
from tmqtt.terminal import looks
from tmqtt.terminal.sentences import CommandError
from tmqtt.terminal.streams import encoded
from tmqtt.terminal.terminal import Terminal

_PLAIN_WIDTH = 10_000  # in a pipe, a row is a line
# Seconds after which nothing more is tried: each check has its bound, and a broker that answers
# none of them would take that of all.
_ENOUGH = 40.0


async def check(connection: ConnectionOptions, terminal: Terminal, *, json: bool) -> None:
    """Check the broker. Raises CommandError where nothing answers, or something is wrong."""
    if len(servers(connection.broker)) > 1:
        raise CommandError("One broker is checked at a time: give one URL, not several.", 2)
    findings: list[Finding] = []
    output = terminal.output
    painter = looks.Painter() if output.is_terminal else None

    def show(finding: Finding) -> None:
        new_group = not findings or findings[-1].group != finding.group
        findings.append(finding)
        if json:
            return
        if new_group:
            output.line(f"{'' if len(findings) == 1 else chr(10)}{finding.group}")
        for line in lines_of(finding, painter.width if painter else _PLAIN_WIDTH):
            text = painter.paint(line) if painter else looks.plain(line).rstrip()
            output.put(encoded(f"{text}\n"))

    target = probes.Target(connection.broker, arguments(replace(connection, clean_start=True)))
    for finding in await check_tls(connection):
        show(finding)
    for finding in await probes.versions(target):
        show(finding)
    if target.best is not None:
        began = trio.current_time()
        for probe in probes.ALL:
            if trio.current_time() - began > _ENOUGH:
                show(probes.left_out(probe, _ENOUGH))
                continue
            for finding in await probes.guarded(probe, target):
                show(finding)
    if json:
        output.line(as_json(target.url, findings))
    if target.failure is not None:
        raise target.failure
    wrong = sum(finding.status == WRONG for finding in findings)
    if wrong:
        raise CommandError(f"{wrong} of {len(findings)} rows are wrong.")
