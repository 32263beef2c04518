"""What `tmqtt broker` was asked for, as it is handed on to a process that is one of several."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from tmqtt.broker.levels import Level
from tmqtt.broker.listening import ListenAt
from tmqtt.broker.settings import configured, overrides
from trio_mqtt.configuration import Configuration


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The arguments of the command. `worker` is which of several processes this is, from 1."""

    urls: Sequence[str] = ()
    ports: Sequence[int] = ()
    defaults: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    config: str | None = None
    settings: Sequence[str] = ()
    options: Mapping[str, object] = field(default_factory=dict)
    level: Level | None = None
    worker: int = 0

    def configuration(self) -> Configuration:
        """The configuration that holds. Raises CommandError with all that is wrong with it."""
        return configured(self.config, overrides(self.options, self.settings))

    def listen_at(self) -> ListenAt:
        """Where to listen."""
        return ListenAt(
            urls=self.urls, ports=self.ports, defaults=self.defaults, worker=self.worker
        )

    def written(self) -> bytes:
        """It as a line of JSON."""
        level = None if self.level is None else self.level.value
        return json.dumps(asdict(self) | {"level": level}).encode() + b"\n"

    @classmethod
    def read(cls, line: bytes) -> Asked:
        """What `written` has written."""
        given = json.loads(line)
        level = given.pop("level")
        return cls(**given, level=None if level is None else Level(level))
