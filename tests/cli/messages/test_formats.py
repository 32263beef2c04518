"""The format codes of mosquitto_sub; tests/interop compares them with the real one."""

from __future__ import annotations

import re
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tmqtt.messages.formats import Format, FormatError
from tmqtt.messages.message import ShownMessage

from trio_mqtt import Message, Properties

MOMENT = 1_795_541_158_841_222_333


def message(payload: bytes = b"hello", **properties: object) -> Message:
    found: Properties = {**properties}  # type: ignore[typeddict-item] # of any names
    return Message("a/tö", payload, 1, True, False, found, packet_id=7)


def line(text: str, of: Message | None = None) -> str:
    return Format(text).line(of or message(), MOMENT).decode()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("%t|%p|%x|%X|%l|%m|%q|%r|%%", "a/tö|hello|68656c6c6f|68656C6C6F|5|7|1|1|%"),
        ("%10t|%-10t|%010t|%.3t|%5.3t|%-5.3t|", "     a/tö|a/tö     |     a/tö|a/t|  a/t|a/t  |"),
        ("%10p|%-10p|%3p|%010p|", "     hello|hello     |hel|00000hello|"),
        ("%5l|%-5l|%05l|%-05l|", "    5|5    |00005|5    |"),
        ("%5m|%05m|%5q|%5r", "    7|00007|1|1"),
        # As mosquitto_sub counts the width of hexadecimal digits.
        ("%4x|%8x|%-8X|", "6865|    6865|6865    |"),
        ("%A|%C|%D|%E|%F|%P|%R|%S|", "||||||||"),
        ("%3C|%3E|%03E|%-3E|", "   |   |000|   |"),
        ("\\n\\t\\0\\\\\\e\\a\\r\\v", "\n\t\0\\\x1b\a\r\v"),
        ("@@|@N|@%", "@|841222333|%"),
        ("%U", "1795541158.841222333"),
        ("plain ä", "plain ä"),
    ],
)
def test_codes(text: str, shown: str) -> None:
    assert line(text) == shown


@pytest.mark.parametrize(
    ("text", "payload", "shown"),
    [
        ("%d|%f", struct.pack("=d", 21.5), "21.500000|"),
        ("%.2f|%d", struct.pack("=f", -0.25), "-0.25|"),
        ("%8.1d|%-8.1d|%08.1d", struct.pack("=d", 3.14), "     3.1|3.1     |000003.1"),
        ("%d", struct.pack("=d", float("nan")), "nan"),
    ],
)
def test_payloads_that_are_binary_numbers(text: str, payload: bytes, shown: str) -> None:
    assert line(text, message(payload)) == shown


def test_codes_of_mqtt_5() -> None:
    full = message(
        content_type="text/plain",
        correlation_data=b"c0rr",
        message_expiry_interval=100,
        payload_format_indicator=1,
        response_topic="resp",
        user_property=[("k", "v"), ("k2", "v2")],
        subscription_identifier=[7],
    )
    assert line("%C|%D|%E|%F|%P|%R|%S", full) == "text/plain|c0rr|100|1|k:v k2:v2|resp|7"
    assert line("%.4C|%12.4C|%05E|%-5E|%3F", full) == "text|        text|00100|100  |  1"


def test_times_are_local_and_as_strftime_writes_them() -> None:
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:58[+-]\d{4}", line("%I"))
    assert re.fullmatch(r"\d\d:\d\d:58 20\d\d", line("@H:@M:@S @Y"))


def test_json_of_a_message() -> None:
    shown = line("%j", message(b'"x"\n', user_property=[("a", "1"), ("a", "2")], content_type="t"))
    assert re.fullmatch(
        r'\{"tst":"[-\dT:]+\.841222Z[+-]\d{4}","topic":"a/tö","qos":1,"retain":1,"payloadlen":4,'
        r'"mid":7,"properties":\{"user-properties":\{"a":"1","a":"2"\},"content-type":"t"\},'
        r'"payload":"\\"x\\"\\n"\}',
        shown,
    )


@pytest.mark.parametrize(
    ("payload", "shown"),
    [
        (b"", "null"),
        (b"42", "42"),
        (b' [1, 2.50, {"a": null}, true ]\n', '[1,2.5,{"a":null},true]'),
        (b"[1e400, 12345678901234567890, -0.0, 1E-7]", "[null,1.2345678901234567e+19,-0,1e-07]"),
        (b'{"a":1,"a":"\\u00e9"}', '{"a":1,"a":"\xe9"}'),
    ],
)
def test_json_with_the_payload_as_json(payload: bytes, shown: str) -> None:
    assert line("%J", message(payload)).endswith(f'"payload":{shown}}}')


@pytest.mark.parametrize(
    "payload", [b"{} x", b"hello", b"[NaN]", b'"\\ud800"', b"\xff", b"[" * 100_000]
)
def test_a_payload_that_is_not_json_is_complained_of(payload: bytes) -> None:
    told: list[tuple[str, str]] = []
    format_ = Format("%J|%q", lambda topic, wanted: told.append((topic, wanted)))
    assert format_.line(message(payload), MOMENT) == b"|1"
    assert told == [("a/tö", "JSON, which %J asks for")]


@pytest.mark.parametrize(
    ("text", "value", "shown"),
    [
        ("%f|%.2f|%.0f", 21.5, "21.500000|21.50|22"),
        ("%10.3f|%-10.3f|%010.3f|", -21.5, "   -21.500|-21.500   |-00021.500|"),
        ("%5.1f|%05.1f", float("inf"), "  inf|  inf"),
        ("%d|%.3d|%9.2d|%-9.2d|%09.2d|", 1 / 3, "0.333333|0.333|     0.33|0.33     |000000.33|"),
        ("%.17d", 0.1, "0.10000000000000001"),
    ],
)
def test_numbers_of_the_machine(text: str, value: float, shown: str) -> None:
    payload = struct.pack("f" if "f" in text else "d", value)
    assert line(text, message(payload)) == shown


@pytest.mark.parametrize(
    ("code", "payload", "wanted"),
    [("%f", b"21.50", "a float of 4 bytes"), ("%d", b"1234", "a double of 8 bytes")],
)
def test_a_payload_of_another_size_is_no_such_number(
    code: str, payload: bytes, wanted: str
) -> None:
    told: list[tuple[str, str]] = []
    format_ = Format(f"{code}|%t", lambda topic, what: told.append((topic, what)))
    assert format_.line(message(payload), MOMENT).decode() == "|a/tö"
    assert told == [("a/tö", f"{wanted}, which {code} asks for")]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("%.2x|%.2:x|%.4-X|%.5,x", "68 65 6c 6c 6f|68:65:6c:6c:6f|6865-6C6C-6F|68656,c6c6f"),
        ("%.0x|%.20:x", "68656c6c6f|68656c6c6f"),
        # There, a width is of bytes, and of digits.
        ("%2.2:x|%14.2:x|", "68:65|  :  :68:65:6c:6c:6f|"),
        ("%-14.2:x|%014.2:x|", "68:65:6c:6c:6f    |00:00:68:65:6c:6c:6f|"),
    ],
)
def test_hexadecimal_digits_in_groups(text: str, shown: str) -> None:
    assert line(text) == shown


@pytest.mark.parametrize("text", ["%", "a%-", "%0", "%5", "%.", "@", "\\"])
def test_a_format_that_ends_too_soon_is_refused(text: str) -> None:
    with pytest.raises(FormatError, match="ends in the middle"):
        Format(text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("%z", "'%z'"),
        ("%.2:t", "'%.2:t'"),
        ("%.2:f", "'%.2:f'"),
        ("%0-5t", "'%0-'"),
        ("\\q", r"'\\q'"),
        ("%9999999t", "width of"),
    ],
)
def test_codes_that_do_not_exist_are_refused(text: str, problem: str) -> None:
    with pytest.raises(FormatError, match=re.escape(problem)):
        Format(text)


@settings(deadline=None)
@given(st.binary())
def test_in_a_terminal_nothing_in_a_message_steers_it(payload: bytes) -> None:
    shown = Format("%p %j \\e[1m", safe=True).line(message(payload), MOMENT)
    assert shown.decode().removesuffix("\x1b[1m").isprintable()


@settings(deadline=None)
@given(st.text(alphabet="%@\\-0.5:tpxXdfjJlmqrACDEFIPRSUn"))
def test_a_format_is_read_or_refused(text: str) -> None:
    try:
        read = Format(text)
    except FormatError as error:
        assert str(error).endswith(".")  # noqa: PT017 # either way
    else:
        assert isinstance(read.line(message(), MOMENT), bytes)


def test_the_latency_may_be_shown() -> None:
    def latency(of: ShownMessage, _moment: int) -> float | None:
        return float(of.payload) if of.payload != b"hello" else None

    def shown(text: str, of: Message) -> str:
        return Format(text, latency=latency).line(of, MOMENT).decode()

    assert shown("%L|%8L|%-8L|%.3L", message(b"12.5")) == "12.5|    12.5|12.5    |12.500"
    assert shown("%L|%4L|%-4L|", message()) == "-|   -|-   |"
    for text, wrong in (("%t", "shows no latency: write %L"), ("%.2:L", "does not exist")):
        with pytest.raises(FormatError, match=wrong):
            Format(text, latency=latency)
    with pytest.raises(FormatError, match="say by --latency where"):
        Format("%L")


def test_json_may_be_laid_out() -> None:
    shown = Format("%J", pretty=True).line(message(b'[{"a":{}},1]', content_type="x"), MOMENT)
    assert shown.decode().partition('"payloadlen"')[2] == (
        ':\t12,\n\t"mid":\t7,\n\t"properties":\t{\n\t\t"content-type":\t"x"\n\t},\n'
        '\t"payload":\t[{\n\t\t\t"a":\t{\n\t\t\t}\n\t\t}, 1]\n}'
    )


def test_json_is_laid_out_in_a_terminal_too_and_cannot_steer_it() -> None:
    one = message(b"\x1b[2J\n\t\xc2\x9b")
    shown = Format("%j", pretty=True, safe=True).line(one, MOMENT).decode()
    assert shown.partition('"mid"')[2] == (':\t7,\n\t"payload":\t"\\u001b[2J\\n\\t\\x9b"\n}')


@pytest.mark.parametrize("depth", [100, 400, 600, 100_000])
def test_json_that_is_too_deep_is_told(depth: int) -> None:
    said: list[str] = []
    found = Format("%J", lambda topic, _: said.append(topic), pretty=True)
    line = found.line(message(b"[" * depth + b"]" * depth), MOMENT)
    assert bool(line) != bool(said)
