"""What pages say is what there is: tables, libraries, sentences. `tests.docs` runs their blocks."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

import trio_mqtt

DOCS = Path(__file__).parent.parent / "docs"
CONFIGURATION = "reference/configuration.md"
LIBRARIES = ("# paho-mqtt", "# aiomqtt", "// MQTT.js", "# trio-mqtt")


def test_ten_tasks_are_shown_in_each_library() -> None:
    text = (DOCS / "how-to" / "coming-from.md").read_text(encoding="utf-8")
    tasks = re.split(r"^## \d+\. ", text, flags=re.MULTILINE)[1:]
    assert len(tasks) == 10
    for task in tasks:
        for library in LIBRARIES:
            assert task.count(f"\n{library}") == 1, (task.splitlines()[0], library)


def test_the_tables_of_settings_are_those_of_the_source() -> None:
    text = (DOCS / CONFIGURATION).read_text(encoding="utf-8")
    current = trio_mqtt.configuration.reference()
    assert text.endswith(f"\n{current}"), "python docs/making/settings.py writes them"


def test_the_table_of_limits_is_that_of_the_source() -> None:
    script = runpy.run_path(str(DOCS / "making" / "limits.py"))
    text = (DOCS / "reference" / "limits.md").read_text(encoding="utf-8")
    assert text.endswith(f"{script['MARK']}\n{script['tables']()}"), (
        "python docs/making/limits.py writes it"
    )


def test_what_is_said_of_a_wrong_configuration_is_said(tmp_path: Path) -> None:
    text = (DOCS / CONFIGURATION).read_text(encoding="utf-8")
    said = re.findall(r"^Error: (broker.toml, line .*|TMQTT_.*)$", text, re.MULTILINE)
    file = tmp_path / "broker.toml"
    wrong = 'maximum_packet_size = "large"\nconect_timeout = "5s"\n'
    file.write_text(f"{chr(10) * 14}[limits]\n{wrong}", encoding="utf-8")
    with pytest.raises(trio_mqtt.configuration.InvalidConfiguration) as caught:
        trio_mqtt.configuration.load(file, environment={"TMQTT_OPTIONS__MAXIMUM_QOS": "3"})
    assert str(caught.value).replace(f"{tmp_path}/", "").splitlines() == said
