"""What stands in an object of JSON, taken out and checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from trio_mqtt.broker.access.dynamic.records import ACL_TYPES, UNSET, Acl, Given
from trio_mqtt.protocol.topics import topic_filter_problem

T = TypeVar("T")

_MOST_PRIORITY = 2**31 - 1
_LONGEST = 65_535  # bytes of a string in MQTT (MQTT 5.0 §1.5.4)


class WrongFieldError(Exception):
    """Something is missing or cannot be; the text says what, in Mosquitto's words where it has
    some."""


class Fields:
    """One object: a command, or a part of one or of the file."""

    __slots__ = ("raw",)

    def __init__(self, raw: Mapping[str, object]) -> None:
        self.raw = raw

    def name(self, key: str) -> str:
        """The name of a user, group or role, which must be there."""
        value = self.raw.get(key)
        if not isinstance(value, str) or not value:
            raise WrongFieldError(f"Invalid/missing {key}")
        problem = _text_problem(value)
        if problem is not None:
            raise WrongFieldError(f"{key.capitalize()} {problem}")
        return value

    def text(self, key: str, label: str | None = None) -> str | None:
        """A text that may be missing: then None."""
        value = self.raw.get(key)
        if value is None:
            return None
        if not isinstance(value, str) or _text_problem(value) is not None:
            raise WrongFieldError(f"Invalid/missing {label or key}")
        return value

    def flag(self, key: str) -> bool:
        """True or false; false where it is missing."""
        value = self.raw.get(key, False)
        if not isinstance(value, bool):
            raise WrongFieldError(f"Invalid/missing {key}")
        return value

    def number(self, key: str, default: int) -> int:
        """A whole number of 32 bits."""
        value = self.raw.get(key, default)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or abs(value) > _MOST_PRIORITY:
            raise WrongFieldError(f"Invalid/missing {key}")
        return value

    def objects(self, key: str) -> list[Fields] | None:
        """The objects of a list; None where it is missing."""
        value = self.raw.get(key)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            raise WrongFieldError(f"Invalid/missing {key}")
        return [Fields(one) for one in value]

    def acl(self) -> Acl:
        """The rule that the object is."""
        acltype, topic = self.acl_key()
        priority = self.number("priority", 0)
        return Acl(acltype, topic, priority, self.flag("allow"))

    def acl_key(self) -> tuple[str, str]:
        """Which rule of a role the object names: its kind and its topic filter."""
        acltype = self.raw.get("acltype")
        if not isinstance(acltype, str):
            raise WrongFieldError("Invalid/missing acltype")
        if acltype not in ACL_TYPES:
            raise WrongFieldError("Unknown acltype")
        topic = self.raw.get("topic")
        if not isinstance(topic, str):
            raise WrongFieldError("Invalid/missing topic")
        if topic_filter_problem(topic) is not None or _text_problem(topic) is not None:
            raise WrongFieldError("Invalid ACL topic")
        return acltype, topic

    def given(self, name_key: str) -> Given:
        """The role or group that the object gives to somebody."""
        return Given(self.name(name_key), self.number("priority", UNSET))


def _text_problem(text: str) -> str | None:
    """Why a text cannot be one of MQTT's, as the end of a sentence."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return "not valid UTF-8"
    if "\0" in text:
        return "not valid UTF-8"
    return "too long" if size > _LONGEST else None
