"""Modules of a user's own: written outside the repository, importable for one test."""

import sys
import textwrap
from pathlib import Path

import pytest


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Writes a module into a folder outside the repository, on this process' path and on that of its children.

    own(name, text) returns the module's name; a second call replaces the module.
    """
    folder = tmp_path / "own"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", f"{folder}:{Path(__file__).resolve().parents[2]}")
    before = set(sys.modules)

    def write(name: str, text: str) -> str:
        (folder / f"{name}.py").write_text(textwrap.dedent(text))
        sys.modules.pop(name, None)
        return name

    write.folder = folder
    yield write
    for name in set(sys.modules) - before:
        if (folder / f"{name}.py").exists():
            del sys.modules[name]
