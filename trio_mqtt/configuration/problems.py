"""What is wrong with a configuration: all of it at once, each with its place."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from trio_mqtt.errors import ConfigurationError
from trio_mqtt.records import record

if TYPE_CHECKING:
    from trio_mqtt.configuration.sources import Source


@record
class Problem:
    """One thing that is wrong: `setting` is its name with dots, `sentence` what and the remedy."""

    setting: str
    sentence: str
    source: Source | None = None

    def __str__(self) -> str:
        return self.sentence if self.source is None else f"{self.source}: {self.sentence}"


NO_FOLDER_FOR_SOCKET = (
    "web.socket is a file in the folder of storage.path, which is not given. Leave it out, or name"
    " a folder (--data DIR)."
)


class InvalidConfiguration(ConfigurationError):  # noqa: N818  # of a configuration, not an error
    """A configuration from which no broker can be opened; its text names each problem in a line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))
