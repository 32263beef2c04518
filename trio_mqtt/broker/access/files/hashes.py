"""Hashes of passwords, as a password file holds them: argon2id, and the two kinds of Mosquitto's.

$argon2id$v=19$m=19456,t=2,p=1$SALT$HASH     argon2id (RFC 9106), what is made here
$7$ITERATIONS$SALT$HASH                      PBKDF2 with SHA-512, Mosquitto's since 2.0
$6$SALT$HASH                                 SHA-512 once, Mosquitto's before
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import field
from typing import Literal, Protocol

import argon2.low_level as argon2
from argon2.exceptions import VerificationError

from trio_mqtt.records import record

# What hashes are made of: argon2id where Mosquitto need not read them.
HashKind = Literal["argon2id", "pbkdf2"]

# What OWASP asks of a server for which each attempt costs: 19 MiB, and 20 to 40 ms of one core.
# One lane, for the broker checks several passwords at a time, each in a thread of its own.
ARGON2_MEMORY = 19 * 1024  # KiB
ARGON2_PASSES = 2
ARGON2_LANES = 1
PBKDF2_ITERATIONS = 210_000  # OWASP's figure for SHA-512

# More than this is a slip of the pen, and would hold up the broker at each connection.
_MOST_ARGON2_MEMORY = 1024 * 1024  # KiB
_MOST_ARGON2_PASSES = 100
_MOST_ARGON2_LANES = 64
_MOST_ITERATIONS = 10_000_000

_ARGON2_SALT = 16  # bytes
_MOSQUITTO_SALT = 12  # bytes: Mosquitto takes no other number of them
_SHA512_SIZE = 64  # bytes


class PasswordHash(Protocol):
    """A password that can be recognized, but not read."""

    @property
    def text(self) -> str:
        """The hash as a password file holds it."""

    @property
    def work(self) -> tuple[str, ...]:
        """What checking a password takes, in words. Equal hashes of work take equally long."""

    def fits(self, password: bytes) -> bool:
        """Whether it is this password, found out in a time that does not tell."""

    def dummy(self) -> PasswordHash:
        """A hash that no password fits, and that takes as long to find out."""


@record
class Argon2id:
    """argon2id: each guess costs memory too, which graphics cards are short of."""

    text: str = field(repr=False)
    work: tuple[str, ...]

    def fits(self, password: bytes) -> bool:
        try:
            return argon2.verify_secret(self.text.encode(), password, argon2.Type.ID)
        except VerificationError:
            return False

    def dummy(self) -> Argon2id:
        *start, salt, digest = self.text.split("$")
        made_up = (_unpadded(secrets.token_bytes(_size(part))) for part in (salt, digest))
        return Argon2id("$".join((*start, *made_up)), self.work)


@record
class Pbkdf2:
    """PBKDF2 with SHA-512: Mosquitto reads it."""

    iterations: int
    salt: bytes = field(repr=False)
    digest: bytes = field(repr=False)

    @property
    def text(self) -> str:
        return f"$7${self.iterations}${_base64(self.salt)}${_base64(self.digest)}"

    @property
    def work(self) -> tuple[str, ...]:
        return "PBKDF2-SHA512", f"{self.iterations:,} iterations"

    def fits(self, password: bytes) -> bool:
        made = hashlib.pbkdf2_hmac("sha512", password, self.salt, self.iterations)
        return hmac.compare_digest(made, self.digest)

    def dummy(self) -> Pbkdf2:
        salt = secrets.token_bytes(len(self.salt))
        return Pbkdf2(self.iterations, salt, secrets.token_bytes(_SHA512_SIZE))


@record
class Sha512:
    """SHA-512, once: a stolen file is soon guessed. Read, but never made."""

    salt: bytes = field(repr=False)
    digest: bytes = field(repr=False)

    @property
    def text(self) -> str:
        return f"$6${_base64(self.salt)}${_base64(self.digest)}"

    @property
    def work(self) -> tuple[str, ...]:
        return "SHA-512", "once"

    def fits(self, password: bytes) -> bool:
        made = hashlib.sha512(password + self.salt).digest()
        return hmac.compare_digest(made, self.digest)

    def dummy(self) -> Sha512:
        return Sha512(secrets.token_bytes(len(self.salt)), secrets.token_bytes(_SHA512_SIZE))


def make_hash(password: bytes, kind: HashKind = "argon2id") -> PasswordHash:
    """A new hash of a password, with a salt drawn for it. It takes as long as a check."""
    if kind == "pbkdf2":
        salt = secrets.token_bytes(_MOSQUITTO_SALT)
        digest = hashlib.pbkdf2_hmac("sha512", password, salt, PBKDF2_ITERATIONS)
        return Pbkdf2(PBKDF2_ITERATIONS, salt, digest)
    made = argon2.hash_secret(
        password,
        secrets.token_bytes(_ARGON2_SALT),
        time_cost=ARGON2_PASSES,
        memory_cost=ARGON2_MEMORY,
        parallelism=ARGON2_LANES,
        hash_len=32,
        type=argon2.Type.ID,
    )
    return read_hash(made.decode())


def read_hash(text: str) -> PasswordHash:
    """Read a hash as a password file holds it.

    Raises ValueError for what is none; the text says what it is not, to go on after "the entry".
    """
    if not text.startswith("$"):
        raise ValueError("holds no hash but a password in plain text, or part of one")
    kind, *parts = text[1:].split("$")
    if kind == "argon2id":
        return _read_argon2id(text)
    if kind == "7" and len(parts) == 3:
        iterations = _number(parts[0], _MOST_ITERATIONS, "iterations")
        return Pbkdf2(iterations, *_salt_and_digest(parts[1:]))
    if kind == "6" and len(parts) == 2:
        return Sha512(*_salt_and_digest(parts))
    if kind in ("6", "7"):
        raise ValueError(f"is cut off or damaged: a hash of the kind ${kind}$ has other parts")
    raise ValueError(f"holds a hash of an unknown kind, ${kind}$: known are $argon2id$, $7$, $6$")


def _read_argon2id(text: str) -> Argon2id:
    damaged = "is cut off or damaged: a hash reads $argon2id$v=19$m=…,t=…,p=…$SALT$HASH"
    parts = text.split("$")
    if len(parts) != 6 or parts[2] != "v=19":
        raise ValueError(damaged)
    pairs = (part.partition("=") for part in parts[3].split(","))
    numbers = {name: number for name, _, number in pairs}
    if list(numbers) != ["m", "t", "p"]:
        raise ValueError(damaged)
    memory = _number(numbers["m"], _MOST_ARGON2_MEMORY, "KiB of memory")
    passes = _number(numbers["t"], _MOST_ARGON2_PASSES, "passes")
    lanes = _number(numbers["p"], _MOST_ARGON2_LANES, "lanes")
    if memory < 8 * lanes:
        raise ValueError(f"asks for {memory} KiB of memory, less than argon2 can do with")
    for part, least in ((parts[4], 8), (parts[5], 16)):
        try:
            size = _size(part)
        except ValueError as error:
            raise ValueError(damaged) from error
        if not least <= size <= 1024:
            raise ValueError(damaged)
    work = ["argon2id", f"{memory:,} KiB of memory", f"{passes} passes"]
    if lanes > 1:
        work.append(f"{lanes} lanes")
    return Argon2id(text, tuple(work))


def _salt_and_digest(parts: list[str]) -> tuple[bytes, bytes]:
    try:
        salt, digest = (base64.b64decode(part, validate=True) for part in parts)
    except ValueError as error:
        raise ValueError("is cut off or damaged: its salt or hash is not Base64") from error
    if len(digest) != _SHA512_SIZE or not salt:
        raise ValueError(f"is cut off or damaged: its hash has {len(digest)} bytes, not 64")
    return salt, digest


def _number(text: str, most: int, of_what: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 18 and int(text)):
        raise ValueError(f"is damaged: {text!r} is no number of {of_what}")
    if int(text) > most:
        raise ValueError(f"asks for {int(text):,} {of_what}; the most that is done is {most:,}")
    return int(text)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _unpadded(data: bytes) -> str:
    return _base64(data).rstrip("=")


def _size(text: str) -> int:
    """How many bytes a text in Base64 without padding holds."""
    return len(base64.b64decode(text + "=" * (-len(text) % 4), validate=True))
