"""What the tests of pages share."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.docs.files import Files, fill


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that pages speak of; nobody changes them."""
    folder = tmp_path_factory.mktemp("filled")
    fill(folder)
    return folder


@pytest.fixture
def files(filled: Path, tmp_path: Path) -> Files:
    """The files that pages speak of, in a folder of the test's own."""
    shutil.copytree(filled, tmp_path, dirs_exist_ok=True)
    return Files(tmp_path)
