"""How far subscribers are, told to publishers in other processes by a file in memory."""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SLOT = 4  # bytes: a number of 32 bits


@contextmanager
def progress_file(slots: int) -> Iterator[str]:
    """A file with room for so many numbers; the path, for as long as the context lasts."""
    with tempfile.TemporaryDirectory(prefix="tmqtt-bench-") as folder:
        path = Path(folder, "progress")
        with path.open("wb") as file:
            file.truncate(max(slots, 1) * _SLOT)
        yield str(path)


@contextmanager
def open_progress(path: str | None) -> Iterator[memoryview | None]:
    """The numbers in the file, each written by one process and read by others."""
    if path is None:
        yield None
        return
    with (
        Path(path).open("r+b") as file,
        mmap.mmap(file.fileno(), 0) as memory,
        memoryview(memory) as raw,
        raw.cast("I") as numbers,
    ):
        yield numbers
