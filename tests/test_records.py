"""Records are what the standard library makes of a frozen dataclass with slots."""

from __future__ import annotations

import copy
import inspect
import pickle
import sys
from collections.abc import Callable, Mapping
from dataclasses import FrozenInstanceError, asdict, dataclass, field, fields, is_dataclass, replace
from typing import Any, ClassVar

import pytest

from trio_mqtt.records import record


@record
class Lamp:
    """A lamp."""

    room: str
    watts: float = 40
    tags: list[str] = field(default_factory=list, hash=False)
    secret: str = field(default="", repr=False, compare=False)
    kind: ClassVar[str] = "lamp"


@dataclass(frozen=True, slots=True)
class StandardLamp:
    """A lamp."""

    room: str
    watts: float = 40
    tags: list[str] = field(default_factory=list, hash=False)
    secret: str = field(default="", repr=False, compare=False)
    kind: ClassVar[str] = "lamp"


BOTH = pytest.mark.parametrize("lamp", [Lamp, StandardLamp], ids=["record", "standard"])


@record(kw_only=True)
class Dimmed(Lamp):
    """One that has a level."""

    level: int = 100

    def __post_init__(self) -> None:
        if not 0 <= self.level <= 100:
            raise ValueError("A level is a percentage.")


@record
class Counted:
    """It reckons some of its fields itself."""

    words: str
    count: int = field(init=False)
    unit: str = field(default="words", init=False)
    found: list[str] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "count", len(self.words.split()))


@record
class Nothing:
    """It has no field."""


@record
class Told:
    """It says itself what it is."""

    word: str

    def __repr__(self) -> str:
        return self.word

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Told) and self.word.lower() == other.word.lower()

    def __hash__(self) -> int:
        return hash(self.word.lower())


def _through_a_pickle(one: object) -> object:
    return pickle.loads(pickle.dumps(one))  # noqa: S301 # our own


@BOTH
def test_it_is_made_shown_compared_and_hashed(lamp: Callable[..., Any]) -> None:
    one = lamp("hall", tags=["old"], secret="s")
    assert (one.room, one.watts, one.tags, one.secret, one.kind) == (
        "hall",
        40,
        ["old"],
        "s",
        "lamp",
    )
    assert repr(one) == f"{lamp.__name__}(room='hall', watts=40, tags=['old'])"
    assert one == lamp("hall", 40, ["old"])
    assert one != lamp("hall", 60, ["old"])
    assert one != "hall"
    assert hash(one) == hash(lamp("hall", tags=["new"]))
    assert lamp("a").tags is not lamp("a").tags


@BOTH
def test_nothing_of_it_can_be_changed(lamp: Callable[..., Any]) -> None:
    one = lamp("hall")
    with pytest.raises(FrozenInstanceError):
        one.room = "attic"
    with pytest.raises(FrozenInstanceError):
        del one.room
    with pytest.raises((FrozenInstanceError, TypeError)):  # the latter in Python 3.11
        one.other = 1
    assert not hasattr(one, "__dict__")


@BOTH
def test_it_is_a_dataclass(lamp: Callable[..., Any]) -> None:
    one = lamp("hall", 60)
    made: object = lamp
    assert is_dataclass(made)
    assert [each.name for each in fields(one)] == ["room", "watts", "tags", "secret"]
    assert replace(one, watts=25) == lamp("hall", 25)
    assert asdict(one) == {"room": "hall", "watts": 60, "tags": [], "secret": ""}
    assert type(one).__match_args__ == ("room", "watts", "tags", "secret")


@BOTH
@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, _through_a_pickle])
def test_it_is_copied_and_pickled(lamp: Callable[..., Any], again: Callable[[Any], Any]) -> None:
    one = lamp("hall", 60, ["old"], "s")
    assert again(one) == one
    assert again(one).secret == "s"


def test_its_signature_is_that_of_the_standard_library() -> None:
    ours, theirs = inspect.signature(Lamp).parameters, inspect.signature(StandardLamp).parameters
    assert [*ours] == [*theirs]
    for name, parameter in theirs.items():
        assert ours[name].annotation == parameter.annotation
        # A factory is no value that can be shown.
        assert ours[name].default == parameter.default or name == "tags"
    assert [str(p.kind) for p in inspect.signature(Dimmed).parameters.values()][
        -1
    ] == "KEYWORD_ONLY"
    with pytest.raises(TypeError, match=r"Lamp.__init__\(\) missing 1 required .* 'room'"):
        Lamp()  # type: ignore[call-arg]


def test_what_derives_from_it_has_its_fields_and_is_frozen_too() -> None:
    one = Dimmed("hall", level=5)
    assert repr(one) == "Dimmed(room='hall', watts=40, tags=[], level=5)"
    assert (one == Lamp("hall"), one == Dimmed("hall", level=5)) == (False, True)
    assert [each.name for each in fields(one)] == ["room", "watts", "tags", "secret", "level"]
    with pytest.raises(FrozenInstanceError):
        one.level = 6  # type: ignore[misc]
    with pytest.raises(ValueError, match="percentage"):
        Dimmed("hall", level=101)


def test_standard_dataclasses_derive_from_it_if_they_are_frozen() -> None:
    @dataclass(frozen=True)
    class Named(Lamp):
        name: str = ""

    one = Named("hall", name="old one")
    with pytest.raises(FrozenInstanceError):
        one.name = "another"  # type: ignore[misc]
    assert one == Named("hall", name="old one")

    def thaw() -> None:
        @dataclass
        class Thawed(Lamp):  # type: ignore[misc]
            name: str = ""

    with pytest.raises(TypeError, match="cannot inherit non-frozen"):
        thaw()


def test_a_plain_class_that_derives_from_it_has_attributes_of_its_own() -> None:
    class Plain(Lamp):
        pass

    one: Any = Plain("hall")
    one.note = "new"
    del one.note
    with pytest.raises(FrozenInstanceError):
        one.room = "attic"


def test_what_a_class_says_itself_stays() -> None:
    assert repr(Told("Yes")) == "Yes"
    assert {Told("Yes")} == {Told("yes")}
    with pytest.raises(FrozenInstanceError):
        Told("Yes").word = "no"  # type: ignore[misc]


def test_fields_that_nobody_gives_are_set_by_the_class() -> None:
    assert repr(Counted("a b")) == "Counted(words='a b', count=2, unit='words', found=[])"
    assert [*inspect.signature(Counted).parameters] == ["words"]


def test_without_fields_all_are_equal() -> None:
    assert {Nothing(), Nothing()} == {Nothing()}
    assert repr(Nothing()) == "Nothing()"


def test_one_that_holds_itself_is_shown() -> None:
    held: list[Any] = []
    one = Lamp("hall", tags=held)
    held.append(one)
    assert repr(one) == "Lamp(room='hall', watts=40, tags=[...])"


def test_type_hints_are_those_that_are_written() -> None:
    hints: Mapping[str, object] = inspect.get_annotations(Lamp.__init__, eval_str=True)
    assert hints == {"room": str, "watts": float, "tags": list[str], "secret": str, "return": None}
    assert sys.modules[Lamp.__init__.__module__] is sys.modules[__name__]
