"""Templates are replaced, and whatever else has braces, JSON above all, stays as it is."""

from __future__ import annotations

import json
import re
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tmqtt.pub.templates import Template


def test_each_template_has_its_value() -> None:
    text = Template("{n} {ms} {now} {uuid} {random:1:6} {random:0.00:1.00} {choice:a,b c}").text(41)
    found = re.fullmatch(
        r"41 (\d{13}) \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z [0-9a-f-]{36} [1-6] [01]\.\d\d"
        r" (a|b c)",
        text,
    )
    assert found, text
    assert abs(int(found[1]) - time.time() * 1000) < 60_000


def test_dice_show_each_face_and_no_other() -> None:
    dice = Template("{random:-1:2}")
    assert {dice.text(1) for _ in range(500)} == {"-1", "0", "1", "2"}


def test_a_walk_goes_by_small_steps_and_stays_within_its_bounds() -> None:
    walk = Template("{walk:-1:1.00:0.5}")
    values = [float(walk.text(number)) for number in range(1, 500)]
    assert values[0] == 0.0
    assert len(set(values)) > 50
    assert all(-1 <= value <= 1 for value in values)
    assert all(abs(a - b) <= 0.51 for a, b in pairwise(values))


def test_a_sine_comes_back_after_its_messages() -> None:
    sine = Template("{sine:10.0:20.0:4}")
    assert [sine.text(number) for number in range(1, 6)] == ["15.0", "20.0", "15.0", "10.0", "15.0"]


def test_a_seed_has_the_dice_fall_the_same_way() -> None:
    text = "{random:1:1000000} {uuid} {choice:a,b,c} {walk:0:9:0.001}"

    def values(seed: str | None) -> list[str]:
        template = Template(text, seed)
        return [template.text(number) for number in range(5)]

    assert values("1") == values("1")
    assert values("1") != values("2")
    assert values(None) != values(None)


@pytest.mark.parametrize(
    "text",
    [
        '{"a":{"b":{}}}',
        '{"n":1}',
        "{{ value_json.temperature }}",
        "{name} {N} {nn} { n } {}",
        "{",
        "}}{{",
        "",
        "\udcff{x}",
    ],
)
def test_other_braces_stay(text: str) -> None:
    template = Template(text)
    assert template.is_constant
    assert template.text(1) == text


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("{{n}}", "{n}"),
        ("{{random:1:6}} {{choice:a,b}}", "{random:1:6} {choice:a,b}"),
        ('{"n":{n}}', '{"n":7}'),
        ('{"a":{"n":{n}}}', '{"a":{"n":7}}'),
        ("{{{n}}}", "{{n}}"),
    ],
)
def test_braces_beside_a_template(text: str, becomes: str) -> None:
    assert Template(text).text(7) == becomes


@given(
    st.recursive(
        st.text() | st.integers(), lambda inner: st.dictionaries(st.text(), inner), max_leaves=12
    )
)
def test_json_without_templates_is_never_changed(value: object) -> None:
    text = json.dumps(value)
    if not re.search(r"\{(n|now|ms|uuid|random|choice|walk|sine)[:}]", text):
        assert Template(text).text(1) == text


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{random}", "needs two numbers"),
        ("{random:1:x}", "needs two numbers"),
        ("{random:6:1}", "has its larger number first"),
        ("{walk:1:2}", "needs three numbers: the least, the greatest, a step"),
        ("{walk:2:1:1}", r"larger number first: \{walk:1:2:1\}"),
        ("{sine:1:2}", "needs three numbers"),
        ("{sine:1:2:0}", r"has no length: write \{sine:1:2:60\}"),
        ("{choice:a}", "has nothing to choose"),
        ("{now:x}", "takes no value: write {now}"),
    ],
)
def test_a_template_with_a_wrong_value_is_told(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Template(text)
