"""What a program is told to install is what the extras bring, for the Python that runs."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tomllib
import venv
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
        (optional.records_are_missing, "srv"),
        (optional.proxies_are_missing, "proxy"),
        (optional.certificates_are_missing, "testing"),
    ],
)
def test_the_sentence_ends_with_a_command_for_this_python(sentence: object, extra: str) -> None:
    assert callable(sentence)
    _, _, command = sentence().partition("To install")
    words = shlex.split(command.partition(": ")[2])
    assert words[1:3] == ["-m", "pip"]
    assert sys.executable in words
    assert words[words.index("install") + 1 :] == EXTRAS[extra]


@pytest.mark.parametrize("package", optional.PAYLOADS)
def test_the_extra_of_payloads_brings_each_format(package: str) -> None:
    sentence = optional.payloads_are_missing("CBOR", package)
    words = shlex.split(sentence.partition("To install it: ")[2])
    assert words[words.index("install") + 1] in EXTRAS["payloads"]
    assert len(EXTRAS["payloads"]) == len(optional.PAYLOADS)


@pytest.mark.parametrize("with_pip", [False, True])
def test_the_command_works_where_the_environment_is_activated(
    with_pip: bool, tmp_path: Path
) -> None:
    """There `python3` is the environment's own, which may be without pip."""
    venv.create(tmp_path, with_pip=with_pip)
    folder = tmp_path / ("Scripts" if os.name == "nt" else "bin")
    activated = {**os.environ, "PATH": os.pathsep.join((str(folder), os.environ["PATH"]))}
    activated.pop("PYTHONPATH", None)
    python = folder / ("python.exe" if os.name == "nt" else "python3")
    program = f"import runpy; print(runpy.run_path({optional.__file__!r})['how_to_install']('it'))"
    words = shlex.split(_said([str(python), "-c", program], activated))
    words[words.index("install") :] = ["--version"]
    base = _said([sys.executable, "-c", "import sys; print(sys._base_executable)"], activated)
    if not with_pip and _fails([base, "-m", "pip", "--version"], activated):
        pytest.skip("the Python that runs this has no pip")
    assert not _fails(words, activated)
    assert str(folder) in " ".join(words)


def _said(command: list[str], environment: dict[str, str]) -> str:
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True, timeout=60
    ).stdout.strip()


def _fails(command: list[str], environment: dict[str, str]) -> bool:
    return bool(
        subprocess.run(
            command, env=environment, capture_output=True, check=False, timeout=60
        ).returncode
    )


def test_no_text_tells_to_install_what_no_index_has() -> None:
    texts = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    texts += [*ROOT.glob("trio_mqtt/**/*.py"), *ROOT.glob("cli/**/*.py")]
    assert texts
    for path in texts:
        assert "install 'trio-mqtt" not in path.read_text(), path
