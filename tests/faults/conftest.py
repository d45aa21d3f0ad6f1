"""A small audited tree, built once a module, and fresh copies of it."""

import os
import shutil
from pathlib import Path

import pytest
from fixtures.audited_tree import build_tree


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    """A folder with a sound tree, and its sidecars."""
    folder, before = tmp_path_factory.mktemp("sound"), Path.cwd()
    os.chdir(folder)
    try:
        return folder, build_tree()
    finally:
        os.chdir(before)


@pytest.fixture
def tree(sound: tuple[Path, list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """A fresh copy as working directory; its sidecars."""
    shutil.copytree(sound[0], tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return sound[1]
