"""Options of Mosquitto's and MQTT.js' commands, told in ours, or refused with what to do instead.

Looked at only where an option is not known: whoever writes ours pays nothing for it.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Collection
from functools import partial
from urllib.parse import quote

from tmqtt.terminal.command import LONG_PROPERTY, PROPERTY

# What a value becomes: words of ours. Without a value, that is empty.
Told = Callable[[str], list[str]]


class ForeignOptionError(Exception):
    """An option that cannot be taken: the text says what to do instead.

    `known` where it has an equal, and only what is with it is not right.
    """

    def __init__(self, name: str, sentence: str, *, known: bool = False) -> None:
        super().__init__(sentence)
        self.name = name
        self.known = known


class MissingValueError(ForeignOptionError):
    """An option that is taken, but whose value is missing."""


def _as(name: str) -> Told:
    """The same under another name."""
    return lambda value: [name, value]


def _flag(*words: str) -> Told:
    return lambda _value: list(words)


def _url(text: str) -> list[str]:
    """Mosquitto's `-L`, which takes all of it as it stands: a topic may have # and %."""
    scheme, separator, rest = text.partition("://")
    place, _, topic = rest.partition("/")
    credentials, at, host = place.rpartition("@")
    if not separator or scheme not in ("mqtt", "mqtts") or not host or not topic:
        raise ForeignOptionError(
            "-L", "it takes mqtt://[USER[:PASSWORD]@]HOST[:PORT]/TOPIC, or mqtts://.", known=True
        )
    words = ["-b", f"{scheme}://{host}", "-t", topic]
    if at:
        username, colon, password = credentials.partition(":")
        words += ["-u", username, *(["-P", password] if colon else [])]
    return words


def _unix(path: str) -> list[str]:
    return ["-b", f"unix://{quote(os.path.abspath(path))}"]


def _prefix(text: str) -> list[str]:
    return ["-i", f"{text}{os.getpid()}"]


def _keyform(text: str) -> list[str]:
    if text != "pem":
        raise ForeignOptionError("--keyform", "keys are files here (PEM): --key FILE.", known=True)
    return []


def _most(name: str, text: str) -> list[str]:
    """Mosquitto's `-M`, of which 0 stands for what is usual."""
    return [] if text == "0" else [name, text]


_BOTH = ("pub", "sub")
# The option, the commands that have it, and whether it takes a value.
_TAKEN: dict[str, tuple[Collection[str], bool, Told]] = {
    "-L": (_BOTH, True, _url),
    "--url": (_BOTH, True, _url),
    "-I": (_BOTH, True, _prefix),
    "--id-prefix": (_BOTH, True, _prefix),
    "--unix": (_BOTH, True, _unix),
    "--capath": (_BOTH, True, _as("--cafile")),
    "--keyform": (_BOTH, True, _keyform),
    "-M": (("sub",), True, partial(_most, "--receive-maximum")),
    "--max-inflight": (("sub",), True, partial(_most, "--receive-maximum")),
    "--tls-alpn": (_BOTH, True, _as("--alpn")),
    "--tls-use-os-certs": (_BOTH, False, _flag("--tls")),
    "--nodelay": (_BOTH, False, _flag()),  # here it is always so
    # Those of MQTT.js.
    "--hostname": (_BOTH, True, _as("--host")),
    "--client-id": (_BOTH, True, _as("--id")),
    "--clientId": (_BOTH, True, _as("--id")),
    "--keepalive": (_BOTH, True, _as("--keep-alive")),
    "--ca": (_BOTH, True, _as("--cafile")),
    "--will-message": (_BOTH, True, _as("--will-payload")),
    "-H": (_BOTH, False, _flag("--help")),
}
# Those that mean something together: the commands that have them, and what they stand for.
_JOINED: dict[str, tuple[Collection[str], str]] = {
    "-c": (_BOTH, "keep"),
    "--disable-clean-session": (_BOTH, "keep"),
    "--no-clean": (_BOTH, "keep"),
    "-x": (_BOTH, "span"),
    "--session-expiry-interval": (_BOTH, "span"),
    "--repeat": (("pub",), "repeat"),
    "--repeat-delay": (("pub",), "delay"),
    "--stdin": (("pub",), "stdin"),
    "--multiline": (("pub",), "multiline"),
    "-M": (("pub",), "multiline"),
}
_WITH_VALUE = ("span", "repeat", "delay")

_NO_PSK = "pre-shared keys are not offered here: use certificates (--cert, --key) or a password."
_OPENSSL = "what TLS may use is for OpenSSL's configuration to say (OPENSSL_CONF)."
_ENGINE = "engines of OpenSSL are not offered here: --key FILE takes a key of a file."
_WEB = "the address says it: -b mqtts://HOST, -b ws://HOST or -b wss://HOST."
_REFUSED: dict[str, tuple[Collection[str], str]] = {
    "--ciphers": (_BOTH, _OPENSSL),
    "--tls-version": (_BOTH, f"--tls offers 1.2 and 1.3, the newer first; {_OPENSSL}"),
    "--tls-engine": (_BOTH, _ENGINE),
    "--tls-engine-kpass-sha1": (_BOTH, _ENGINE),
    "--tls-keylog": (_BOTH, "the variable SSLKEYLOGFILE names that file."),
    "--psk": (_BOTH, _NO_PSK),
    "--psk-identity": (_BOTH, _NO_PSK),
    "--ws": (_BOTH, _WEB),
    "-o": (_BOTH, "options that are always the same stand in a profile: --profile NAME."),
    "--protocol": (_BOTH, _WEB),
    "-C": (("pub",), _WEB),
    "-l": (("sub",), _WEB),
}
_NAMES_CLIENT = ("-i", "--id", "--profile", "-I", "--id-prefix", "--client-id", "--clientId")


def told_in_ours(
    command: str, arguments: list[str], unknown: str, with_value: Collection[str]
) -> list[str] | None:
    """The arguments with options of others told in ours; None if `unknown` is not theirs.

    `with_value` are our own options that take a value: what follows one is no option. Raises
    ForeignOptionError for one that has no equal here.
    """
    if not _is_foreign(command, unknown):
        return None
    joined: dict[str, str] = {}
    found: list[str] = []
    words = deque(arguments)
    while words:
        word = words.popleft()
        name, equals, value = word.partition("=") if word.startswith("--") else (word, "", "")
        if word == "--":
            words.appendleft(word)
            break
        if word in (PROPERTY, LONG_PROPERTY):
            length = 4 if list(words)[1:2] == ["user-property"] else 3
            found += [word, *(words.popleft() for _ in range(min(length, len(words))))]
        elif word in with_value:
            found += [word, *(words.popleft() for _ in range(min(1, len(words))))]
        elif command in _JOINED.get(name, ((), ""))[0]:
            _, meaning = _JOINED[name]
            if name == "-M" and words and words[0].isdecimal():  # as Mosquitto has it
                found += _most("--max-inflight", words.popleft())
                continue
            takes_value = meaning in _WITH_VALUE and not equals
            joined[meaning] = _value(name, words) if takes_value else value
        elif command in _TAKEN.get(name, ((),))[0]:
            _, takes_value, told = _TAKEN[name]
            found += told(_value(name, words) if takes_value and not equals else value)
        elif command in _REFUSED.get(name, ((),))[0]:
            raise ForeignOptionError(name, _REFUSED[name][1])
        else:
            found.append(word)
    if "keep" in joined and not _names_client(arguments):
        raise ForeignOptionError(
            unknown,
            "a session that is kept is found again by its client identifier: give -i ID.",
            known=True,
        )
    return [*_without(found, joined), *_session(joined), *_repeated(joined), *words]


def _is_foreign(command: str, name: str) -> bool:
    of = (_TAKEN.get(name, ((),)), _JOINED.get(name, ((),)), _REFUSED.get(name, ((),)))
    return any(command in commands for commands, *_ in of)


def _names_client(arguments: list[str]) -> bool:
    """Whether something may name the client: an option, a URL, a variable or a profile."""
    return (
        any(word.split("=")[0] in _NAMES_CLIENT or "clientId=" in word for word in arguments)
        or bool(os.environ.get("TMQTT_ID"))
        or bool(os.environ.get("TMQTT_PROFILE"))
    )


def _session(joined: dict[str, str]) -> list[str]:
    """How long the session stays: for ever by `-c` alone, or for what `-x` says."""
    keeps = "keep" in joined
    span = joined.get("span", "-1" if keeps else "0")
    if span == "0" and not keeps:
        return []
    forever = span in ("-1", "∞", "4294967295")
    words = ["--session", "forever" if forever else span]
    return words if keeps else [*words, "--clean-start"]


def _repeated(joined: dict[str, str]) -> list[str]:
    """Of `--repeat` and `--repeat-delay`, the second means nothing alone."""
    if "repeat" not in joined:
        return []
    delay = joined.get("delay", "")
    return ["--count", joined["repeat"], *(["--every", f"{delay}s"] if delay.strip("0.") else [])]


def _without(found: list[str], joined: dict[str, str]) -> list[str]:
    """The words, with MQTT.js' `--stdin`, which with `--multiline` is read by lines."""
    if "multiline" in joined:
        return [*(word for word in found if word not in ("-s", "--stdin-file")), "-l"]
    return [*found, "-s"] if "stdin" in joined else found


def _value(name: str, words: deque[str]) -> str:
    if not words:
        raise MissingValueError(name, f"Option {name!r} requires an argument.")
    return words.popleft()
