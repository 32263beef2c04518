"""What a program is told to install is what the extras bring, for the Python that runs."""

from __future__ import annotations

import shlex
import sys
import tomllib
from pathlib import Path

import pytest

from trio_mqtt import optional

ROOT = Path(__file__).parent.parent
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


@pytest.mark.parametrize(
    ("sentence", "extra"),
    [
        (optional.scram_is_missing, "scram"),
        (optional.tokens_are_missing, "jwt"),
        (optional.cluster_is_missing, "cluster"),
    ],
)
def test_the_sentence_ends_with_a_command_for_this_python(sentence: object, extra: str) -> None:
    assert callable(sentence)
    _, _, command = sentence().partition("To install")
    words = shlex.split(command.partition(": ")[2])
    assert words[:3] == ["python3", "-m", "pip"]
    assert words[words.index("--python") + 1] == sys.executable
    assert words[words.index("install") + 1 :] == EXTRAS[extra]


def test_no_text_tells_to_install_what_no_index_has() -> None:
    texts = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
    texts += [*ROOT.glob("trio_mqtt/**/*.py"), *ROOT.glob("cli/**/*.py")]
    assert texts
    for path in texts:
        assert "install 'trio-mqtt" not in path.read_text(), path
