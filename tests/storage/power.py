"""What is on a disk when the power fails: what was synced, and anything of what was written since.

SQLite is asked to write through functions of ours, which note each write, cut and sync before they
pass them on. `Disk` plays them again up to a moment.
"""

from __future__ import annotations

import ctypes
import random
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

SECTOR = 512

_WRITE = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int64
)
_TRUNCATE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int64)
_SYNC = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int)
_OPEN = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.c_void_p,
    ctypes.c_char_p,
    ctypes.c_void_p,
    ctypes.c_int,
    ctypes.c_void_p,
)


class _Methods(ctypes.Structure):
    """sqlite3_io_methods, version 3."""

    _fields_ = (
        ("version", ctypes.c_int),
        ("close", ctypes.c_void_p),
        ("read", ctypes.c_void_p),
        ("write", _WRITE),
        ("truncate", _TRUNCATE),
        ("sync", _SYNC),
        ("others", ctypes.c_void_p * 13),
    )


class _File(ctypes.Structure):
    """sqlite3_file."""

    _fields_ = (("methods", ctypes.POINTER(_Methods)),)


class _Vfs(ctypes.Structure):
    """sqlite3_vfs, as far as it is needed."""

    _fields_ = (
        ("version", ctypes.c_int),
        ("file_size", ctypes.c_int),
        ("longest_path", ctypes.c_int),
        ("next", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("data", ctypes.c_void_p),
        ("open", _OPEN),
    )


class Write(NamedTuple):
    file: str
    offset: int
    data: bytes


class Cut(NamedTuple):
    file: str
    size: int


class Sync(NamedTuple):
    file: str


class Promise(NamedTuple):
    """What has been said to be durable."""

    number: int


Event = Write | Cut | Sync | Promise

_in_use: list[Any] = []  # SQLite may call these as long as the process lives


def is_possible() -> bool:
    """Whether the SQLite of this Python is a library that functions can be put into."""
    try:
        library = ctypes.CDLL("libsqlite3.so.0")
    except OSError:
        return False
    library.sqlite3_libversion.restype = ctypes.c_char_p
    return bool(library.sqlite3_libversion().decode() == sqlite3.sqlite_version)


@contextmanager
def recorded(folder: str) -> Iterator[list[Event]]:
    """All that SQLite does to the files in a folder that it opens within."""
    find = ctypes.CDLL("libsqlite3.so.0").sqlite3_vfs_find
    find.restype = ctypes.POINTER(_Vfs)
    vfs = find(None).contents
    events: list[Event] = []
    original = _OPEN(ctypes.cast(vfs.open, ctypes.c_void_p).value or 0)

    def open_(vfs: int, name: bytes | None, file: int, flags: int, out_flags: int | None) -> int:
        result = int(original(vfs, name, file, flags, out_flags))
        if result == 0 and name is not None and name.decode().startswith(f"{folder}/"):
            _record(ctypes.cast(file, ctypes.POINTER(_File)).contents, name.decode(), events)
        return result

    vfs.open = _OPEN(open_)
    _in_use.append(vfs.open)
    try:
        yield events
    finally:
        vfs.open = original


def _record(file: _File, path: str, events: list[Event]) -> None:
    name = path.rpartition("/")[2]
    original = file.methods.contents
    methods = _Methods.from_buffer_copy(original)

    def write(file: int, data: int, size: int, offset: int) -> int:
        events.append(Write(name, offset, ctypes.string_at(data, size)))
        return int(original.write(file, data, size, offset))

    def truncate(file: int, size: int) -> int:
        events.append(Cut(name, size))
        return int(original.truncate(file, size))

    def sync(file: int, flags: int) -> int:
        result = int(original.sync(file, flags))
        events.append(Sync(name))
        return result

    methods.write, methods.truncate, methods.sync = _WRITE(write), _TRUNCATE(truncate), _SYNC(sync)
    file.methods = ctypes.pointer(methods)
    _in_use.extend((methods, methods.write, methods.truncate, methods.sync))


class Disk:
    """Files as they are on the disk, and what has been asked since their last sync."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = {name: bytearray(data) for name, data in files.items()}
        self.promised = 0
        self._pending: list[Write | Cut] = []

    def play(self, event: Event) -> None:
        match event:
            case Sync(file):
                for one in self._pending:
                    if one.file == file:
                        _apply(self.files, one)
                self._pending = [one for one in self._pending if one.file != file]
            case Promise(number):
                self.promised = number
            case _:
                self._pending.append(event)

    def after_power_failed(self, chance: random.Random) -> dict[str, bytearray]:
        """The files, with none, some or all of what was not synced, writes torn into sectors."""
        files = {name: bytearray(data) for name, data in self.files.items()}
        share = chance.choice((0.0, 0.5, 0.9, 1.0))
        for event in _torn(self._pending):
            if chance.random() < share:
                _apply(files, event)
        return files


def _torn(events: Sequence[Write | Cut]) -> Iterator[Write | Cut]:
    for event in events:
        if isinstance(event, Cut):
            yield event
            continue
        start = 0
        while start < len(event.data):
            at = event.offset + start
            end = start + SECTOR - at % SECTOR
            yield Write(event.file, at, event.data[start:end])
            start = end


def _apply(files: dict[str, bytearray], event: Write | Cut) -> None:
    content = files.setdefault(event.file, bytearray())
    if isinstance(event, Cut):
        del content[event.size :]
        return
    if len(content) < event.offset:
        content += bytes(event.offset - len(content))
    content[event.offset : event.offset + len(event.data)] = event.data
