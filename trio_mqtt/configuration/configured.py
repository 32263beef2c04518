"""A configuration that was read: its settings, and where each comes from."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from trio_mqtt.cluster.settings import without_password
from trio_mqtt.configuration.places import Place
from trio_mqtt.configuration.sections import Settings
from trio_mqtt.configuration.sources import File, Layers, Source

if TYPE_CHECKING:
    from trio_mqtt.configuration.description import Setting


class Configured:
    """Settings, and where each comes from. It does not change."""

    def __init__(self, settings: Settings, layers: Layers, file: File | None) -> None:
        self._settings = settings
        self._layers = layers
        self._file = file

    @property
    def settings(self) -> Settings:
        """The settings, checked, with defaults for all that is not given."""
        return self._settings

    @property
    def path(self) -> str | None:
        """The file that was read."""
        return None if self._file is None else self._file.path

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences for the person who runs the broker: others may read what nobody should."""
        if self._file is None or os.name != "posix":
            return ()
        from trio_mqtt.configuration.description import find

        has_secrets = any(
            setting is not None and (setting.secret or self._has_password(setting, place))
            for place in self._layers.places_in(self._file)
            for setting in (find(place)[0],)
        )
        try:
            mode = stat.S_IMODE(os.stat(self._file.path).st_mode)
        except OSError:
            return ()
        if not has_secrets or not mode & stat.S_IROTH:
            return ()
        path = self._file.path
        return (f"Everybody on this machine can read the secrets in {path}: `chmod o= {path}`.",)

    def _has_password(self, setting: Setting, place: Place) -> bool:
        """Whether a setting is a URL with a password in it."""
        value = self._layers.value_at(place)
        return setting.may_have_password and value != without_password(str(value))

    def source_of(self, setting: str | Place) -> Source:
        """Where a setting's value comes from, such as that of `limits.maximum_connections`."""
        place = _place(setting) if isinstance(setting, str) else setting
        return self._layers.source_of(place) or Source("default")


def _place(setting: str) -> Place:
    # What describes settings takes longer to load than all else: not for nothing.
    from trio_mqtt.configuration.description import find

    return find(setting.split("."))[1]
