"""The package compiled, as `TRIO_MQTT_COMPILE=1 pip install .` installs it, beside the pure one."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parent.parent
_BUILT_FROM = ("pyproject.toml", "hatch_build.py", "trio_mqtt", "cli")


class NotCompiledError(Exception):
    """It cannot be compiled here; the text says why."""


def compiled_python(cache: Path) -> Path:
    """The Python of an environment in `cache` that has these sources compiled, made if need be.

    Raises NotCompiledError.
    """
    environment = cache / f"compiled-{_state_of_sources()}"
    python = environment / "bin" / "python"
    if not (environment / "done").exists():
        print("Compiling trio-mqtt, which takes a minute …", file=sys.stderr)
        _run([sys.executable, "-m", "venv", "--clear", "--without-pip", str(environment)])
        # The environment that this runs in may have none; the Python that it is of has.
        pip = [str(Path(sys.base_prefix, "bin", "python3")), "-m", "pip", "--python", str(python)]
        _run([*pip, "install", "--quiet", str(_ROOT)], TRIO_MQTT_COMPILE="1")
        shown = _run([str(python), "-I", "-m", "tmqtt", "--version"])
        if "(compiled)" not in shown:
            raise NotCompiledError(f"what was compiled says that it is {shown.strip()}")
        (environment / "done").touch()
    return python


def _state_of_sources() -> str:
    """Tells the sources from others."""
    state = hashlib.sha256(sys.version.encode())
    for name in _BUILT_FROM:
        path = _ROOT / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            state.update(file.read_bytes())
    return state.hexdigest()[:12]


def _run(command: list[str], **variables: str) -> str:
    done = subprocess.run(
        command, env=os.environ | variables, capture_output=True, text=True, check=False
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise NotCompiledError(reason)
    return done.stdout
