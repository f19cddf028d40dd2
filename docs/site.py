"""Brings what the pages link to into the site: the README as its first page, and figures kept elsewhere.

Links to source code lose their address, since the site holds none of it;
tests/test_readme.py checks that they lead somewhere in the repository.
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
BROUGHT = {"README.md": "index.md", "CHANGELOG.md": "changes.md", "CONTRIBUTING.md": "contributing.md"}
"""From the repository's root to the site."""
KEPT = (".md", ".svg", ".png")
LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|mailto:|#)([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages and figures that lie outside of docs/."""
    results = [path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "benchmarks" / "results").iterdir())]
    for source, place in {**BROUGHT, **{path: path for path in results if path.endswith(KEPT)}}.items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 - a hook
    """Point every link to its place in the site."""
    brought = {place: source for source, place in BROUGHT.items()}
    here = page.file.src_uri
    source = brought.get(here) or (here if here.startswith("benchmarks/") else f"docs/{here}")

    def repointed(match: re.Match[str]) -> str:
        image, words, target, anchor = match[1], match[2], match[3], match[4] or ""
        inside = os.path.normpath(PurePosixPath(source).parent / target)
        place = BROUGHT.get(inside, inside.removeprefix("docs/"))
        if files.get_file_from_path(place) is None and not inside.startswith("docs/"):
            return words
        return f"{image}[{words}]({os.path.relpath(place, PurePosixPath(here).parent)}{anchor})"

    return LINK.sub(repointed, markdown)
