"""Where this platform keeps what may be lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from canary.disk import cache_folder


@pytest.mark.parametrize(
    ("platform", "variable", "expected"),
    [
        ("linux", "XDG_CACHE_HOME", "canary-gate"),
        ("win32", "LOCALAPPDATA", "canary-gate"),
        ("darwin", "HOME", "Library/Caches/canary-gate"),
    ],
)
def test_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, platform: str, variable: str, expected: str) -> None:
    """Where each platform keeps what may be deleted."""
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setenv(variable, str(tmp_path))
    assert cache_folder() == tmp_path / expected
