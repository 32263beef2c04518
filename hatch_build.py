"""What a wheel is built of: the sources, and with TRIO_MQTT_COMPILE=1 what mypyc makes of some.

They are the same sources both ways, and `pyproject.toml` lists those that pay when they are
compiled. A build that is not asked to needs no compiler, and an editable one stays pure: what is
compiled would no longer be what one edits.
"""

from __future__ import annotations

import os
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SWITCH = "TRIO_MQTT_COMPILE"
_NO_COMPILER = (
    f"{SWITCH} is set, so trio-mqtt needs a C compiler and the headers of this Python, and they do"
    f" not work here: %s. Install them (Debian: apt install gcc python3-dev), or unset {SWITCH}:"
    " it runs without being compiled."
)


def is_wanted() -> bool:
    """Whether this build is asked to compile."""
    return os.environ.get(SWITCH, "0") not in ("", "0")


class CompiledModules(BuildHookInterface):
    """Puts the compiled modules into the wheel, beside their sources."""

    def dependencies(self) -> list[str]:
        """What has to be installed for the build."""
        return self.config["requires"] if is_wanted() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, before the files of the wheel are gathered."""
        if not is_wanted() or version == "editable":
            return
        self._folder = TemporaryDirectory(prefix="trio-mqtt-")
        built = Path(self._folder.name)
        with chdir(self.root):
            modules = self.config["modules"]
            self.app.display_waiting(f"Compiling {len(modules)} modules, which takes a minute.")
            files = self._compile(modules, built)
        build_data["force_include"] |= files
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """The wheel is written: what it was made of goes."""
        if is_wanted() and version != "editable":
            self._folder.cleanup()

    def _compile(self, modules: list[str], built: Path) -> dict[str, str]:
        """Compile modules below a folder; return the files, each with its place in the wheel."""
        from mypyc.build import mypycify
        from setuptools import Distribution
        from setuptools.errors import CCompilerError, ExecError, PlatformError

        extensions = mypycify(
            # Types are checked elsewhere, with what is imported from other packages at hand.
            ["--config-file=", "--ignore-missing-imports", *modules],
            target_dir=str(built / "c"),
            group_name="trio_mqtt",
            debug_level="0",
        )
        command = Distribution({"ext_modules": extensions}).get_command_obj("build_ext")
        command.build_lib = str(built / "lib")
        command.build_temp = str(built / "objects")
        command.parallel = True
        command.ensure_finalized()
        try:
            command.run()
        except (CCompilerError, ExecError, PlatformError) as error:
            self.app.abort(_NO_COMPILER % error)
        return {path: os.path.relpath(path, command.build_lib) for path in command.get_outputs()}
