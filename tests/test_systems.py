"""What only some systems have is needed by what is for these alone: all is loaded anywhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import tmqtt

import trio_mqtt

# Modules of Python that only Unix has.
_OF_UNIX = ("fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty")
_LOAD_ALL = f"""
import importlib, pkgutil, sys
# Those of others that take what there is.
import anyio, asyncio, coredis, dns.resolver, hypercorn.config, multiprocessing, psutil, pytest
import rich.console, trio, typer
sys.modules.update(dict.fromkeys({_OF_UNIX!r}))  # so that importing one fails
import tmqtt, trio_mqtt
for package in (trio_mqtt, tmqtt):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
print(sum(name.split(".")[0] in ("tmqtt", "trio_mqtt") for name in sys.modules))
"""


def test_all_modules_are_loaded_where_there_is_nothing_of_unix() -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", _LOAD_ALL],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.stderr == ""
    packages = [Path(str(package.__file__)).parent for package in (trio_mqtt, tmqtt)]
    files = [file for package in packages for file in package.rglob("*.py")]
    assert int(ran.stdout) >= sum(file.name != "__main__.py" for file in files)
