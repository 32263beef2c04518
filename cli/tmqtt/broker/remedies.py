"""How to change what the broker tells of: by its options, or in the file that has its settings."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Remedies:
    """Words for what to do; those of the configuration file, where one was read."""

    file: str | None = None

    @property
    def passwords(self) -> str:
        """What says who may connect."""
        return self._by("--password-file FILE", "access.passwords")

    @property
    def data(self) -> str:
        """What has the broker keep things."""
        return self._by("--data DIR", "storage.path")

    def for_others(self, *, everybody_is_asked: bool) -> str:
        """How clients of other machines get in; those that come may all be asked who they are."""
        if self.file is not None:
            setting = "url of [[listeners]]"
            setting += "" if everybody_is_asked else ", and access.passwords,"
            return f"To let others in, listen at mqtt://0.0.0.0: {setting} in {self.file}."
        if everybody_is_asked:
            return "To let others in, listen at mqtt://0.0.0.0."
        return "To let others in: tmqtt broker mqtt://0.0.0.0 --password-file FILE"

    def _by(self, option: str, setting: str) -> str:
        return option if self.file is None else f"{setting} in {self.file}"
