"""What docs/how-to/tls-own-authority.md says is done, with openssl, and tried."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.programs import DEADLINE, Program
from trio_mqtt.access import set_password

PAGE = Path(__file__).parents[2] / "docs/how-to/tls-own-authority.md"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl here"),
]


def blocks(language: str) -> list[str]:
    text = PAGE.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = [block for block in blocks("sh") if block.startswith("openssl")]
    assert len(made) == 3  # the authority, the broker's certificate, a device's
    for commands in made:
        subprocess.run(
            ["sh", "-ec", commands], cwd=tmp_path, capture_output=True, timeout=60, check=True
        )
    set_password(tmp_path / "users", "ann", b"secret", create=True)
    (tmp_path / "password").write_text("secret\n")
    return tmp_path


def ask(folder: Path, port: str, *options: str) -> tuple[int, str]:
    """Whether the broker takes a message, by exit code and words."""
    where = ["-b", f"mqtts://localhost:{port}", "--connect-timeout", "1m", "--no-wait"]
    command = [sys.executable, "-m", "tmqtt", "pub", "test", "hello", "-q", "1", *where, *options]
    ran = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=DEADLINE, check=False
    )
    return ran.returncode, ran.stderr


@pytest.mark.parametrize(
    ("number", "shown", "refused"),
    [
        (0, ("-u", "ann", "--password-file", "password"), "bad user name or password"),
        (1, ("--cert", "kitchen.pem", "--key", "kitchen.key"), "the broker demands a certificate"),
    ],
)
def test_it_works_as_it_says(
    folder: Path, number: int, shown: tuple[str, ...], refused: str
) -> None:
    settings = blocks("toml")[number]
    assert settings.count("0.0.0.0:8883") == 1
    file = folder / "broker.toml"
    file.write_text(settings.replace("0.0.0.0:8883", "localhost:0"))
    with Program("broker", "--config", str(file)) as program:
        port = program.out.expect(r"Listening at mqtts://localhost:(\d+)\n")[1]
        trusting = ("--cafile", "authority.pem")
        assert ask(folder, port, *trusting, *shown) == (0, "")
        code, said = ask(folder, port, *shown)
        assert code == 1
        assert "the broker's certificate comes from an unknown authority" in said
        wrong = ("-u", "ann", "-P", "wrong") if number == 0 else ()
        code, said = ask(folder, port, *trusting, *wrong)
        assert code == (134 if number == 0 else 1)
        assert refused in said
