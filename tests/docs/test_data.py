"""Files that are shown can be read, and mean what they are shown for."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from configparser import ConfigParser
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from tmqtt.connecting.profiles import load_profile
from tmqtt.pub.simulation import read_simulation

from tests.docs.blocks import Block, each, of
from trio_mqtt.access import AccessFile
from trio_mqtt.configuration import Settings, load

# Access rules stand in blocks of text, which begin so.
_RULES = ("user ", "topic ", "pattern ", "# Clients without", "# Home Assistant sees")
BLOCKS = of("toml", "json", "yaml", "yml", "js", "javascript", "ini")
BLOCKS += [block for block in of("text") if block.text.startswith(_RULES)]
SETTINGS = {field.name for field in fields(Settings)}
RULES = {"anonymous", "user", "everyone"}
_SECRET = "5f1c…"  # shortened for people
_FASTEST = 1_000_000


def kinds(*names: str) -> list[Any]:
    """A test for each block of these kinds."""
    return each([block for block in BLOCKS if block.kind in names])


@pytest.mark.parametrize("block", kinds("toml"))
def test_toml_is_what_it_is_shown_for(block: Block, tmp_path: Path) -> None:
    text = block.text.replace(_SECRET, "5f1c" * 8)
    file = tmp_path / "file.toml"
    file.write_text(text, encoding="utf-8")
    keys = tomllib.loads(text).keys()
    if keys <= SETTINGS:
        # What keeps something needs a folder, which a page need not say each time.
        kept = {"history"} & keys and not {"storage"} & keys
        load(file, environment={"TMQTT_STORAGE__PATH": str(tmp_path)} if kept else {})
    elif keys <= RULES:
        assert AccessFile.load(file).warnings == ()
    elif keys == {"topics"}:
        assert read_simulation(str(file), every=None, qos=0, retain=False, fastest=_FASTEST)
    else:
        for name in keys:
            assert load_profile(file, name), f"what is {name}?"


@pytest.mark.parametrize("block", kinds("text"))
def test_access_rules_are_some(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "access"
    file.write_text(block.text, encoding="utf-8")
    assert AccessFile.load(file).warnings == ()


@pytest.mark.parametrize("block", kinds("ini"))
def test_units_and_the_like_can_be_read(block: Block) -> None:
    parser = ConfigParser(strict=False, interpolation=None)
    parser.read_string(block.text)
    assert parser.sections()


@pytest.mark.parametrize("block", kinds("json"))
def test_json_is_json(block: Block) -> None:
    try:
        json.loads(block.text)
    except ValueError:
        for line in block.text.splitlines():  # one object in each
            json.loads(line)


@pytest.mark.parametrize("block", kinds("yaml", "yml"))
def test_yaml_is_yaml(block: Block) -> None:
    assert yaml.safe_load(re.sub(r"!\w+ ", "", block.text))  # tags of its readers


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node.js to read it")
def test_javascript_can_be_read(tmp_path: Path) -> None:
    shown = [block for block in BLOCKS if block.kind in ("js", "javascript")]
    assert shown
    file = tmp_path / "shown.mjs"
    functions = (f"async () => {{ // {block.place}\n{block.text}}};\n" for block in shown)
    file.write_text("".join(functions), encoding="utf-8")
    ran = subprocess.run(
        ["node", "--check", str(file)], capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == 0, ran.stderr
