"""The documentation cannot lie: its commands are run, its links followed.

In a ```console block every `$ canary ...` line is run in a copy of the
workspace and its output compared; `...` stands for anything, and `$ echo $?`
shows the exit status. A ```yaml block whose first line is `# path/to/file.yaml`
is that file, and so is what `$ cat file` shows of a file that is not there.
Commands that install or build (make, pip, git) are shown, not run.
"""

from __future__ import annotations

import glob
import io
import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from canary.cli import main
from canary.config import load_policy
from canary.policy import Policy

ROOT = Path(__file__).resolve().parent.parent
PAGES = [path for path in (*ROOT.glob("*.md"), *sorted((ROOT / "docs").rglob("*.md"))) if path.is_file()]
WORKSPACE = ("evals", "golden_sets", "pipelines", "docs/example")
SHOWN = {"make", "pip", "python", "git", "cd"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced block of a page."""

    language: str
    line: int
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One command of a console block and what it is said to print."""

    line: int
    command: str
    expected: str


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    lines = page.read_text(encoding="utf-8").splitlines()
    start = None
    for number, text in enumerate(lines):
        if start is None and (fence := re.match(r"```(\w+)", text)):
            start, language = number, fence[1]
        elif start is not None and text == "```":
            yield Block(language=language, line=start + 2, lines=tuple(lines[start + 1 : number]))
            start = None


def steps(block: Block) -> Iterator[Step]:
    """The commands of a console block; a command ending in a backslash goes on."""
    number = 0
    while number < len(block.lines):
        start, command = number, block.lines[number].removeprefix("$ ")
        assert block.lines[number].startswith("$ "), (
            f"line {block.line + number}: a console block begins with a command"
        )
        while command.endswith("\\"):
            number += 1
            command = command[:-1] + block.lines[number].strip()
        number += 1
        output = []
        while number < len(block.lines) and not block.lines[number].startswith("$ "):
            output.append(block.lines[number])
            number += 1
        yield Step(line=block.line + start, command=command, expected="\n".join(output))


def matches(expected: str, printed: str) -> bool:
    """Whether the output is as shown; `...` on a line of its own is any number of lines."""
    anything, ellipsis = r"(?:[^\n]*\n)*?", re.escape("...")
    lines = [line.rstrip() for line in expected.strip("\n").splitlines()]
    pattern = "".join(
        anything if line == "..." else re.escape(line).replace(ellipsis, r"[^\n]*") + r"\n" for line in lines
    )
    return re.fullmatch(pattern, printed.strip("\n") + "\n" if printed.strip("\n") else "") is not None


class Shell:
    """Just enough of a shell for the documentation."""

    def __init__(self) -> None:
        self.status = 0

    def run(self, step: Step) -> None:
        """Run one step in the current folder and compare what it prints."""
        words = [name for word in shlex.split(step.command) for name in sorted(glob.glob(word)) or [word]]  # noqa: PTH207
        if words[0] in SHOWN:
            return
        out = io.StringIO()
        if words[0] == "canary":
            self.status = main(words[1:], out, out)
        elif words[0] == "cat":
            out.write(self.cat(Path(words[1]), step.expected))
        else:
            assert words == ["echo", "$?"], f"line {step.line}: the documentation's shell knows no {words[0]!r}"
            out.write(str(self.status))

        assert matches(step.expected, out.getvalue()), f"line {step.line}: $ {step.command}\n{out.getvalue()}"

    def cat(self, path: Path, expected: str) -> str:
        """A file's text; one that is not there is made of what is shown of it."""
        if not path.exists():
            path.write_text(expected + "\n", encoding="utf-8")
        return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_print_what_is_shown(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command of a page prints what the page shows, from top to bottom."""
    for folder in WORKSPACE:
        shutil.copytree(ROOT / folder, tmp_path / folder)
    monkeypatch.chdir(tmp_path)
    shell = Shell()
    for block in blocks(page):
        if block.language == "yaml" and (named := re.fullmatch(r"# ([\w./-]+\.yaml)", block.lines[0])):
            Path(named[1]).parent.mkdir(parents=True, exist_ok=True)
            Path(named[1]).write_text("\n".join(block.lines) + "\n", encoding="utf-8")
        if block.language == "console":
            for step in steps(block):
                shell.run(step)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    """Every link to a file of the repository names one that exists."""
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text(encoding="utf-8"))

    assert [link for link in links if not (page.parent / link).exists()] == []


def test_policy_block_is_the_default(tmp_path: Path) -> None:
    """The policy that README.md calls the default is it, and asks for nothing that was not measured."""
    page = [block for block in blocks(ROOT / "README.md") if block.language == "yaml" and "version: 1" in block.lines]
    file = tmp_path / "policy.yaml"
    file.write_text("\n".join(page[0].lines) + "\n", encoding="utf-8")

    assert load_policy(file) == Policy()
    assert load_policy(file).required() == ()


def test_make_targets_exist() -> None:
    """Every `make` target a page mentions is in the Makefile."""
    named = {name for page in PAGES for name in re.findall(r"(?m)(?:^|`)make (\w+)", page.read_text(encoding="utf-8"))}
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))

    assert {"demo", "test"} <= named <= targets


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        ("a\nb", "a\nb\n", True),
        ("a\n...\nd", "a\nb\nc\nd\n", True),
        ("a\n...\nd", "a\nd\n", True),
        ("n=... ok", "n=12 ok", True),
        ("a\nb", "a\nb\nc", False),
        ("a.c", "abc", False),
        ("...", "", True),
    ],
)
def test_ellipsis(expected: str, printed: str, same: bool) -> None:  # noqa: FBT001 - a table
    """Three dots stand for anything, nothing else does."""
    assert matches(expected, printed) is same
