"""What is asked of the engine, what it answers, and how that fails."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha1
from typing import Any, TypeAlias

from trio_mqtt.errors import EngineError

Value: TypeAlias = bytes | str | int | float
Reply: TypeAlias = Any
"""What a call answers, which who asks knows: bytes, a number, None, a list of such, or a dictionary
with bytes as its keys. What a script returns has no dictionary, but a list of keys and values."""

# How a script refuses a write that comes after the end of its node's lease.
FENCED = "FENCED"

_PRELUDE = """\
local function now()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
"""
_FENCE = """\
local lease_end = tonumber(table.remove(ARGV, 1))
if now() > lease_end then return redis.error_reply('FENCED the lease has ended') end
"""


class EngineGoneError(EngineError):
    """The engine cannot be reached now. What was asked is perhaps done, perhaps not."""


class EngineUnableError(EngineGoneError):
    """The engine answers, but does nothing of what it is asked: as its memory is full, say."""


class EngineUnfitError(EngineError):
    """The engine is there, but cannot be used as it is set up, or not by this node."""


class EngineRefusedError(EngineError):
    """The engine answered with an error, which is the text: nothing was done."""

    @property
    def is_wrong_kind(self) -> bool:
        """Whether a key is of another kind than it should be: somebody else has written there."""
        return "wrong kind of value" in str(self)


class EngineFencedError(EngineRefusedError):
    """A write came after the end of the node's lease: others may own what it is about."""


class Script:
    """A script in Lua that the engine runs as one step, on keys that lie in one slot.

    `now()` is the time in milliseconds by the engine's clock. A fenced one is refused, before it
    does anything, once the lease of the node that runs it has ended; what it is given begins after
    that.
    """

    __slots__ = ("digest", "fenced", "source")

    def __init__(self, source: str, *, fenced: bool = False) -> None:
        self.source = (_PRELUDE + (_FENCE if fenced else "") + source).encode()
        self.digest = sha1(self.source, usedforsecurity=False).hexdigest().encode()
        self.fenced = fenced


class Call:
    """One command with its arguments. `key` decides on which master it is done, where there are
    several: it is the first argument, unless said otherwise. None: any will do.
    """

    __slots__ = ("arguments", "key", "name", "script", "size")

    def __init__(
        self,
        name: str | bytes,
        *arguments: Value,
        key: bytes | None = None,
        script: Script | None = None,
    ) -> None:
        self.name = name.encode() if isinstance(name, str) else name
        self.arguments = arguments
        self.script = script
        if key is None and script is None and arguments and isinstance(arguments[0], bytes):
            key = arguments[0]
        self.key = key
        size = 16
        for argument in arguments:
            size += 12 + (len(argument) if isinstance(argument, (bytes, str)) else 8)
        self.size = size

    @classmethod
    def of_script(
        cls, script: Script, keys: Sequence[bytes], *arguments: Value, lease_end: int = 0
    ) -> Call:
        """That a script is run; `lease_end` is what one that is fenced compares with the time."""
        fence = (lease_end,) if script.fenced else ()
        return cls(
            b"EVALSHA",
            script.digest,
            len(keys),
            *keys,
            *fence,
            *arguments,
            key=keys[0] if keys else None,
            script=script,
        )


def wait_call(replicas: int, timeout: float) -> Call:
    """What asks how many replicas have all that a connection has written, once there are enough;
    answered well before `timeout`, in seconds, is over.
    """
    return Call(b"WAIT", replicas, int(timeout * 800))


def too_few_replicas(where: str, reached: object, replicas: int) -> str:
    """What is wrong with the answer, as a sentence without its end; empty if nothing is."""
    if not isinstance(reached, int) or reached >= replicas:
        return ""
    return f"{where} has {reached} replicas that have what was written, and {replicas} must"


def pairs(flat: Sequence[Reply]) -> dict[bytes, Reply]:
    """A list of keys and values, as scripts return it, as the mapping that it stands for."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


def answered(replies: list[Reply]) -> list[Reply]:
    """What several calls answer. Raises EngineRefusedError where one was refused."""
    for reply in replies:
        if isinstance(reply, EngineRefusedError):
            raise reply
    return replies


def number_of(reply: Reply, what: str) -> int:
    """A number that the engine keeps. Raises EngineRefusedError where it has something else."""
    try:
        return int(reply)
    except (TypeError, ValueError):
        shown = str(reply, "utf-8", "replace") if isinstance(reply, bytes) else reply
        raise EngineRefusedError(f"{what} is {shown!r}, and no number") from None


def as_sentence(error: Exception) -> str:
    """What an engine has answered, or what was wrong with that, as people read it."""
    # Of a script, the engine says as well where in it that was: of no use to who reads this.
    text = str(error).partition(" script: ")[0].rstrip(".")
    return f"{text}."
