"""Each option that Mosquitto's and MQTT.js' commands have is known to ours, taken or refused."""

from __future__ import annotations

import re
import subprocess
from importlib import import_module

import pytest
import typer
from typer._click.exceptions import NoSuchOption, UsageError
from typer.main import get_command

from .node import PACKAGES, node_command
from .peers import DEADLINE
from .test_mosquitto_clients import program

# What `--help` names in a sentence, and is no option; -h HOST is told apart from -h elsewhere.
NO_OPTIONS = {"-h", "-1", "--help"}
# Of one value that is of a kind; all others take any.
VALUES = {"-p": "1", "--port": "1", "-q": "1", "--qos": "1", "--will-qos": "1", "-V": "311",
          "-k": "5", "--keepalive": "5", "-W": "5", "-C": "1", "-x": "5", "--repeat": "2",
          "--repeat-delay": "1", "-L": "mqtt://h/t", "--keyform": "pem"}  # fmt: skip
JS = str(PACKAGES / "mqtt" / "build" / "bin" / "mqtt.js")


def options_of(command: list[str]) -> set[str]:
    """The options that a program's help has."""
    done = subprocess.run(
        [*command, "--help"], capture_output=True, text=True, timeout=DEADLINE, check=False
    )
    found = set(re.findall(r"(?<![\w-])(--?[a-zA-Z][\w-]*)", done.stdout + done.stderr))
    return found - NO_OPTIONS


@pytest.mark.interop
@pytest.mark.parametrize("name", ["pub", "sub"])
@pytest.mark.parametrize("theirs", ["mosquitto", "mqtt.js"])
def test_no_option_is_unknown(name: str, theirs: str) -> None:
    if theirs == "mosquitto":
        options = options_of([program(f"mosquitto_{name}")])
        assert len(options) > 40
    else:
        options = options_of([node_command("clients.mjs")[0], JS, name])
        assert len(options) > 20
    command = get_command(import_module(f"tmqtt.{name}.options").app)
    command.name = name
    unknown = set()
    for option in sorted(options):
        # Whatever it takes, it finds behind it; other words than options are topics.
        words = [option, VALUES.get(option, "publish"), "content-type", "x"]
        try:
            command.make_context(name, words).close()
        except NoSuchOption as error:
            if error.format_message() == f"No such option: {error.option_name}" or (
                error.possibilities
            ):
                unknown.add(option)
        except (UsageError, typer.Exit):
            pass  # it is known: what is missing is something else, or it was asked for help
    assert unknown == set()
