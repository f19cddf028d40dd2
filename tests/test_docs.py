"""The documentation as a site: every page is there, and a link that leads nowhere stops it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mkdocs", reason="mkdocs is not installed: pip install '.[dev]'")

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("mkdocs.yml", "docs", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "benchmarks/results")


def build(root: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """`make docs`, into another folder."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


def test_every_page_is_in_the_site(tmp_path: Path) -> None:
    """The README is the first page, all of docs/ follows, and nothing is fetched from elsewhere."""
    done = build(ROOT, tmp_path / "site")

    assert done.returncode == 0, done.stdout + done.stderr
    pages = {path.stem for path in (tmp_path / "site").glob("*.html")}
    assert pages >= {"index", "changes", "contributing", *(path.stem for path in (ROOT / "docs").glob("*.md"))}
    first = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert "May this candidate replace the baseline?" in first
    assert re.findall(r'<(?:script|img|iframe)[^>]+src="https?:|<link[^>]+href="https?:', first) == []


@pytest.mark.parametrize(
    "link", ["[x](nowhere.md)", "[x](policy.md#no-such-heading)", "![x](no-picture.png)", "[x](../docs/gone.md)"]
)
def test_a_dead_link_stops_it(link: str, tmp_path: Path) -> None:
    """Pages, headings and pictures that are not there are named."""
    for source in SOURCES:
        copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy2
        (tmp_path / source).parent.mkdir(parents=True, exist_ok=True)
        copy(ROOT / source, tmp_path / source)
    page = tmp_path / "docs" / "noise.md"
    page.write_text(page.read_text(encoding="utf-8") + f"\n{link}\n", encoding="utf-8")
    done = build(tmp_path, tmp_path / "site")

    assert done.returncode != 0
    assert "noise.md" in done.stdout + done.stderr
