"""What can be released: a commit whose version has a chapter, and no tag elsewhere."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from releasing.ready import hindrances, strangers, tag_of, version_of
from releasing.running import ReleaseError

ROOT = Path(__file__).parents[3]
CHANGES = "# Changes\n\n## Unreleased\n\n## 1.2.0 (1 May 2026)\n\n### Added\n\n- All of it.\n"


def git(root: Path, *words: str) -> None:
    own = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *own, *words], cwd=root, check=True, capture_output=True, timeout=60)


def commit(root: Path, **files: str) -> None:
    for name, text in files.items():
        (root / name).write_text(text, encoding="utf-8")
    git(root, "add", ".")
    git(root, "commit", "--allow-empty", "-m", "Change it")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """One that is ready."""
    (tmp_path / "trio_mqtt").mkdir()
    git(tmp_path, "init", "--quiet")
    (tmp_path / "trio_mqtt/version.py").write_text('__version__ = "1.2.0"\n', encoding="utf-8")
    commit(tmp_path, **{"CHANGELOG.md": CHANGES})
    return tmp_path


def test_nothing_is_in_the_way_of_a_commit_that_says_what_it_is(project: Path) -> None:
    assert version_of(project) == "1.2.0"
    assert list(hindrances(project)) == []
    git(project, "tag", "v1.2.0")
    assert list(hindrances(project, "v1.2.0")) == [], "whoever has pushed the tag builds it"


def test_what_is_not_committed_is_no_release(project: Path) -> None:
    (project / "scratch.txt").write_text("mine", encoding="utf-8")
    (sentence,) = hindrances(project)
    assert sentence == "Not all is committed: scratch.txt. A release is made of a commit."


def test_a_version_takes_a_chapter(project: Path) -> None:
    (project / "trio_mqtt/version.py").write_text('__version__ = "1.3.0"\n', encoding="utf-8")
    commit(project)
    (sentence,) = hindrances(project)
    assert sentence == "CHANGELOG.md has no chapter `## 1.3.0`, or nothing in it."


def test_what_comes_next_has_a_chapter_too(project: Path) -> None:
    commit(project, **{"CHANGELOG.md": CHANGES.replace("## Unreleased\n\n", "")})
    (sentence,) = hindrances(project)
    assert "no chapter `## Unreleased`" in sentence


def test_nothing_is_released_and_told_as_unreleased(project: Path) -> None:
    lines = "## Unreleased\n\n- A thing.\n"
    commit(project, **{"CHANGELOG.md": CHANGES.replace("## Unreleased\n", lines)})
    (sentence,) = hindrances(project)
    assert "has lines under Unreleased" in sentence


def test_a_tag_stays_where_it_is(project: Path) -> None:
    git(project, "tag", "v1.2.0")
    commit(project)
    (sentence,) = hindrances(project)
    assert sentence.startswith("The tag v1.2.0 is there already, at another commit: ")


def test_a_tag_says_the_version_of_the_source(project: Path) -> None:
    (sentence,) = hindrances(project, "v1.3.0")
    assert sentence == (
        "The tag is v1.3.0, and trio_mqtt/version.py says 1.2.0, whose tag is v1.2.0."
    )


@pytest.mark.parametrize("said", ['"1.2"', '"1.2.0.dev1"', '"one"', "version()"])
def test_what_is_no_version_is_refused(project: Path, said: str) -> None:
    (project / "trio_mqtt/version.py").write_text(f"__version__ = {said}\n", encoding="utf-8")
    with pytest.raises(ReleaseError, match=r"does not say a version such as 1\.2\.0"):
        version_of(project)


def test_the_source_says_one() -> None:
    assert tag_of(version_of(ROOT))[0] == "v"


def test_a_folder_is_emptied_only_of_releases(tmp_path: Path) -> None:
    into = tmp_path / "dist"
    assert list(strangers(into)) == []
    into.mkdir()
    for name in ("trio_mqtt-1.1.0-py3-none-any.whl", "trio_mqtt-1.1.0.tar.gz", "SHA256SUMS"):
        (into / name).touch()
    assert list(strangers(into)) == []
    (into / "thesis.tex").touch()
    (sentence,) = strangers(into)
    assert sentence.startswith(f"{into} has thesis.tex, which no release has put there")
    (sentence,) = strangers(into / "thesis.tex")
    assert sentence.endswith("thesis.tex is no folder.")
