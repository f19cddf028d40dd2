"""Downloads that are kept: once, whole, by their content."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from canary.errors import ConfigError
from canary.weights.checkpoint import CHECKPOINT, kept


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this test's downloads are kept."""
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "canary-gate" / "models"


def download(text: str) -> Callable[[Path], Path]:
    """A download of one small checkpoint."""

    def into(half: Path) -> Path:
        (half / "inner").mkdir()
        (half / "inner" / CHECKPOINT).write_text(text)
        return half

    return into


def never(half: Path) -> Path:
    """A download that must not be made."""
    raise AssertionError(half)


def test_a_name_is_downloaded_once(store: Path) -> None:
    """It is found again by its name, and by its content under any other name or none."""
    folder, digest = kept("a", CHECKPOINT, download("{}"))

    assert (folder, (folder / CHECKPOINT).read_text()) == (store / digest, "{}")
    assert kept("a", CHECKPOINT, never) == (folder, digest)
    assert kept("b", CHECKPOINT, download("{}")) == kept(None, CHECKPOINT, download("{}")) == (folder, digest)
    assert kept(None, CHECKPOINT, download("[]"))[0] != folder


@pytest.mark.parametrize("spoil", ["more", "less", "gone", "note"])
def test_what_was_touched_is_downloaded_again(store: Path, spoil: str) -> None:
    """A file too many, one too few, no folder, a note that leads nowhere: what is loaded is what was fetched."""
    folder, digest = kept("a", CHECKPOINT, download("{}"))
    if spoil == "more":
        (folder / "extra").touch()
    if spoil in {"less", "gone"}:
        (folder / CHECKPOINT).unlink()
    if spoil == "gone":
        folder.rmdir()
    if spoil == "note":
        (store / "a.sha256").write_text("")

    assert kept("a", CHECKPOINT, download("{}")) == (folder, digest)
    assert [file.name for file in folder.iterdir()] == [CHECKPOINT]


def test_many_at_once(store: Path) -> None:
    """All get the same whole folder, and nothing half-fetched stays."""
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda n: kept(f"n{n % 2}", CHECKPOINT, download("{}")), range(24)))

    ((folder, digest),) = found
    assert sorted(path.name for path in store.iterdir()) == sorted([digest, "n0.sha256", "n1.sha256"])
    assert (folder / CHECKPOINT).read_text() == "{}"


def test_a_download_that_breaks_leaves_nothing(store: Path) -> None:
    """The next one starts anew."""

    def torn(half: Path) -> Path:
        download("{")(half)
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError):
        kept("a", CHECKPOINT, torn)
    with pytest.raises(ConfigError, match=r"^must hold one folder with a config.json \(got none\)$"):
        kept("a", CHECKPOINT, lambda half: half)
    assert list(store.iterdir()) == []
