"""Whether a commit can be released: what stands in the way, each in a sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from releasing.running import ReleaseError, run

VERSION_FILE = "trio_mqtt/version.py"
CHANGES = "CHANGELOG.md"
UNRELEASED = "Unreleased"

_VERSION = re.compile(r'^__version__ = "([^"]+)"$', re.MULTILINE)
# `## 1.2.0`, or `## 1.2.0 (30 November 2026)`.
_CHAPTER = re.compile(r"^## (\S+)[^\n]*\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
# Semantic versions, as Python writes those before a release: 1.2.0, 1.2.0a1, 1.2.0rc2.
_FORM = re.compile(r"\d+\.\d+\.\d+((a|b|rc)\d+)?")

# What a release puts into a folder, and what `uv build` does.
_RELEASED = re.compile(r"trio_mqtt-.*\.(whl|tar\.gz|cdx\.json)|SHA256SUMS|\.gitignore")


def version_of(root: Path) -> str:
    """The version that the source says. Raises ReleaseError where it says none."""
    found = _VERSION.search((root / VERSION_FILE).read_text(encoding="utf-8"))
    if found is None or not _FORM.fullmatch(found[1]):
        raise ReleaseError(f"{VERSION_FILE} does not say a version such as 1.2.0 or 1.2.0rc1.")
    return found[1]


def tag_of(version: str) -> str:
    """What a version is called in the repository."""
    return f"v{version}"


def hindrances(root: Path, tag: str | None = None) -> Iterator[str]:
    """What keeps what is checked out at `root` from being released, as the `tag` if one is given.

    A tag at this very commit is none: whoever has pushed it builds the same again.
    """
    version = version_of(root)
    own = tag_of(version)
    if tag is not None and tag != own:
        yield f"The tag is {tag}, and {VERSION_FILE} says {version}, whose tag is {own}."
    changed = run("git", "status", "--porcelain", folder=root).splitlines()
    if changed:
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        files = ", ".join(line[3:] for line in changed[:3])
        yield f"Not all is committed: {files}{more}. A release is made of a commit."
    yield from _missing_changes(root, version)
    if run("git", "tag", "--list", own, folder=root).strip():
        tagged, here = (
            run("git", "rev-parse", f"{name}^{{commit}}", folder=root) for name in (own, "HEAD")
        )
        if tagged != here:
            yield (
                f"The tag {own} is there already, at another commit: {tagged.strip()[:10]}."
                f" Give {VERSION_FILE} the next version."
            )


def strangers(into: Path) -> Iterator[str]:
    """What keeps a folder from being emptied for a release: what no release has put there."""
    if into.exists() and not into.is_dir():
        yield f"{into} is no folder."
        return
    names = sorted(path.name for path in into.iterdir()) if into.exists() else []
    others = [name for name in names if not _RELEASED.fullmatch(name)]
    if others:
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        yield (
            f"{into} has {', '.join(others[:3])}{more}, which no release has put there and the next"
            " one would remove: name another folder by --into."
        )


def _missing_changes(root: Path, version: str) -> Iterator[str]:
    chapters = dict(_CHAPTER.findall((root / CHANGES).read_text(encoding="utf-8")))
    if UNRELEASED not in chapters:
        yield f"{CHANGES} has no chapter `## {UNRELEASED}`: it stays, for what comes next."
    if not chapters.get(version, "").strip():
        yield f"{CHANGES} has no chapter `## {version}`, or nothing in it."
    elif chapters.get(UNRELEASED, "").strip():
        yield (
            f"{CHANGES} has lines under {UNRELEASED}, which would be in this release: move them to"
            f" the chapter {version}."
        )
