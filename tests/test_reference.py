"""The reference has all that there is: it is made from the code."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import get_origin

import pytest
from making import commands, http_api, metrics, python_names
from making.filled import MAKERS, asked_for, filled
from tmqtt.app import COMMANDS, command_of

import trio_mqtt
from trio_mqtt.administration import OPERATIONS

REFERENCE = Path(__file__).parent.parent / "docs" / "reference"
PAGES = sorted(REFERENCE.rglob("*.md"))


def test_pages_ask_for_each_part_once() -> None:
    asked = [one for page in PAGES for one in asked_for(page.read_text(encoding="utf-8"))]
    assert {maker for maker, _ in asked} == {*MAKERS}
    assert sorted(asked) == sorted({*asked})
    assert {purpose for maker, purpose in asked if maker == "commands for"} == {*COMMANDS}
    assert {face for maker, face in asked if maker == "names"} == {*python_names.FACES}


def test_all_modules_that_programs_import_from_have_a_page() -> None:
    folder = Path(str(trio_mqtt.__file__)).parent
    listed = [
        path.parent if path.name == "__init__.py" else path.with_suffix("")
        for path in (*folder.glob("*.py"), *folder.glob("*/__init__.py"))
        if "load_lazily(__name__)" in path.read_text(encoding="utf-8") and path.stem != "lazy_names"
    ]
    names = {".".join(path.relative_to(folder.parent).parts) for path in listed}
    assert names | {"trio_mqtt.testing", "trio_mqtt.pytest_plugin"} == {*python_names.FACES}


@pytest.mark.parametrize("face", python_names.FACES)
def test_every_public_name_is_there_and_says_what_it_is_for(face: str) -> None:
    page = python_names.page(face)
    shown = set(re.findall(r"^`+\{py:\w+\} (\w+)", page, re.MULTILINE))
    found = python_names.names(face)
    assert found
    assert {*found} <= shown
    silent = []
    for name, value in found.items():
        if isinstance(value, type):
            members = python_names.members(value)
            assert {*members} <= shown, name
            silent += [
                f"{name}.{one}" for one in members if not inspect.getdoc(getattr(value, one))
            ]
        # A name for a type, such as a Literal, has no docstring of its own.
        if callable(value) and get_origin(value) is None and not inspect.getdoc(value):
            silent.append(name)
    assert silent == []


def test_a_docstring_is_shown_as_it_is_meant() -> None:
    doc = """Publishes to `Broker.publish`, a <topic>, *at once*.

        async with open_client() as client:
            ...

    Raises LocalProtocolError, a `ValueError`, and TypeError.
    """
    assert python_names.markdown(doc, "trio_mqtt") == (
        "Publishes to {py:obj}`Broker.publish <trio_mqtt.Broker.publish>`, a \\<topic\\>, "
        "\\*at once\\*.\n\n```python\nasync with open_client() as client:\n    ...\n```\n\n"
        "Raises {py:obj}`LocalProtocolError <trio_mqtt.LocalProtocolError>`, a `ValueError`, "
        "and TypeError.\n"
    )


@pytest.mark.parametrize("purpose", COMMANDS)
def test_every_command_has_all_its_options(purpose: str) -> None:
    page = commands.page(purpose)
    for name in COMMANDS[purpose]:
        command = command_of(name)
        inner = getattr(command, "commands", {})
        headings = [f"## `tmqtt {name}`", *(f"### `tmqtt {name} {one}`" for one in inner)]
        assert [one for one in headings if f"\n{one}\n" not in f"\n{page}"] == []
        for one in (command, *inner.values()):
            for parameter in one.params:
                shown = not getattr(parameter, "hidden", False)
                if shown and parameter.param_type_name == "option":
                    assert parameter.opts[-1] in page or "completion" in parameter.opts[-1]


def test_every_command_has_its_line() -> None:
    whole = commands.whole()
    for purpose, named in COMMANDS.items():
        assert f"\n## {purpose}\n" in whole
        assert [name for name in named if f"[`tmqtt {name}`]" not in whole] == []


def test_every_operation_is_a_request() -> None:
    page = http_api.operations()
    headings = [f"### `{one.method} /api/v1{one.path}`" for one in OPERATIONS]
    assert [one for one in headings if f"\n{one}\n" not in page] == []
    forms = http_api.forms()
    linked = set(re.findall(r"\]\(#(\w+)\)", page + forms))
    named = {name.lower() for name in re.findall(r"^### `(\w+)`$", forms, re.MULTILINE)}
    assert linked <= named


def test_every_metric_says_what_it_is() -> None:
    found = metrics.collected()
    page = metrics.tables()
    assert len(found) > 60
    assert [one.name for one in found if not one.documentation or f"`{one.name}" not in page] == []


def test_a_comment_is_filled_and_nothing_else() -> None:
    text = (
        "# A\n\nIn the source this page is empty: it is made.\n\n"
        "<!-- from the code: problems -->\n\n<!-- another -->\n"
    )
    shown = filled(text)
    assert shown == f"# A\n\n{http_api.problems()}\n\n<!-- another -->\n"
