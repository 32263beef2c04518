"""The table of operations: each is a method, and the documentation has each."""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path

import pytest
import trio

from trio_mqtt.administration import OPERATIONS, Administration, Operation, OverviewQuery
from trio_mqtt.testing import MemoryBroker

DOCS = Path(__file__).parents[3] / "docs" / "reference" / "administration.md"

EACH = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)


@EACH
def test_each_operation_is_a_method(operation: Operation) -> None:
    method = getattr(Administration, operation.name)
    assert inspect.getdoc(method)
    assert dataclasses.is_dataclass(operation.asked)
    assert inspect.iscoroutinefunction(method) is not operation.streams


@EACH
def test_each_form_says_what_its_fields_are(operation: Operation) -> None:
    for form in (operation.asked, operation.answer):
        if form is not dict:
            shown = str(inspect.getdoc(form))
            names = [field.name for field in dataclasses.fields(form)]
            assert [name for name in names if f"    {name}: " not in shown] == []


def test_each_way_leads_to_one_operation() -> None:
    assert len({(one.method, one.path) for one in OPERATIONS}) == len(OPERATIONS)
    assert len({one.name for one in OPERATIONS}) == len(OPERATIONS)


def test_the_documentation_lists_them() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| (\w+) \| (.+) \| .+ \|$", DOCS.read_text(encoding="utf-8"), re.M
    )
    assert rows == [(one.name, one.role.name.lower(), one.summary) for one in OPERATIONS]


def test_its_examples_run() -> None:
    import trio_mqtt

    for example in re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.S):
        lines = "".join(f"    {line}\n" for line in example.splitlines())
        names: dict[str, object] = {"trio_mqtt": trio_mqtt}
        exec(f"async def program():\n{lines}", names)  # noqa: S102 # it is ours

        async def within_a_minute(program: object = names["program"]) -> None:
            with trio.fail_after(60):
                await program()  # type: ignore[operator]

        trio.run(within_a_minute)


async def test_the_broker_is_seen_as_a_whole(memory: MemoryBroker) -> None:
    seen = await memory.broker.administration.overview(OverviewQuery())
    assert (seen.clients, seen.problems, seen.totals["messages_received"]) == (0, (), 0)
    assert seen.uptime >= 0
