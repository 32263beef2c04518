"""An access file: its rules, in Mosquitto's format or in TOML."""

from __future__ import annotations

import os

from trio_mqtt.broker.access.files.access_formats import read_mosquitto, read_toml
from trio_mqtt.broker.access.files.access_rules import Section, WrittenRules
from trio_mqtt.broker.access.files.reading import read_text
from trio_mqtt.errors import ConfigurationError


class AccessFile(WrittenRules):
    """The rules of an access file: in Mosquitto's format or, where its name ends so, in TOML.

        rules = AccessFile.load("access")
        rules.decide("publish", client_id="c1", username="alice", topic="home/lamp").allowed

    `warnings` are sentences for the person who runs the broker.
    """

    def __init__(
        self,
        path: str,
        *,
        users: dict[str, Section],
        anonymous: Section,
        everyone: Section,
        warnings: tuple[str, ...] = (),
    ) -> None:
        super().__init__(users=users, anonymous=anonymous, everyone=everyone)
        self.path = path
        self.warnings = warnings

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> AccessFile:
        """Read an access file.

        Raises ConfigurationError, whose text names the file, the line, what is wrong and the
        remedy, for each wrong line in one of its own: where one is wrong, or there is no rule at
        all, nothing of it is in force.
        """
        name = os.fspath(path)
        text = read_text(path, "access")
        found = (read_toml if name.endswith(".toml") else read_mosquitto)(text, name)
        sections = (found.anonymous, found.everyone, *found.users.values())
        if not any(section.rules for section in sections):
            raise ConfigurationError(
                f"The access file {name} has no rule, so that nobody could do anything: write"
                " `pattern readwrite #` to allow everything, or leave the file out."
            )
        return cls(
            name,
            users=found.users,
            anonymous=found.anonymous,
            everyone=found.everyone,
            warnings=tuple(found.warnings),
        )
