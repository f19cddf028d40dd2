"""`canary report`: pages about finished runs, which stay as they were."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.jsonl import write_jsonl

Canary = Callable[..., Any]
LOOKS = [(1280, "light"), (390, "dark")]
CASES = 120


class Shelf:
    """A folder of runs of one baseline."""

    def __init__(self, folder: Path, canary: Canary) -> None:
        self.folder, self.canary = folder, canary
        self.runs = folder / "runs"
        strata = ("sizes", "returns")
        rows = [
            {"id": f"c{i}", "vars": {"q": f"how {i}?"}, "expected": "x", "metadata": {"stratum": strata[i % 2]}}
            for i in range(CASES)
        ]
        self.golden = self.write("prompts", rows)

    def write(self, name: str, rows: list[dict[str, Any]]) -> Path:
        """Write one JSONL file."""
        return write_jsonl(self.folder / f"{name}.jsonl", rows)

    def add(self, name: str, wrong: set[int], **fields: Any) -> Path:
        """One more run, whose candidate fails these cases."""
        arms = [
            self.write(arm, [{"id": f"c{i}", "output": "no" if i in bad else "x", **fields} for i in range(CASES)])
            for arm, bad in (("v1", set[int]()), (name, wrong))
        ]
        path = self.runs / name
        ran = self.canary("compare", *arms, "--golden", self.golden, "--out", path, "--json")
        assert ran.status in (0, 1, 3), ran.err
        return path

    def digests(self) -> dict[str, str]:
        """The sha256 of every file of every run."""
        files = (path for run in self.runs.iterdir() if run.is_dir() for path in run.iterdir())
        return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture
def shelf(tmp_path: Path, canary: Canary) -> Shelf:
    """An empty folder of runs."""
    return Shelf(tmp_path, canary)


def test_a_report_is_written_again(shelf: Shelf) -> None:
    """Beside the run, or where asked: the very bytes the run keeps, and the run is untouched."""
    run = shelf.add("bad", set(range(0, 60, 2)))
    before = shelf.digests()
    ran = shelf.canary("report", run)
    elsewhere = shelf.canary("report", run, "--out", shelf.folder / "pages" / "r.html")

    assert (ran.status, elsewhere.status) == (0, 0), ran.err + elsewhere.err
    assert Path(ran.out.strip()) == shelf.runs / "bad.html"
    assert Path(ran.out.strip()).read_bytes() == (run / "report.html").read_bytes()
    assert (shelf.folder / "pages" / "r.html").read_bytes() == (run / "report.html").read_bytes()
    assert shelf.digests() == before
    assert shelf.canary("verify", run).status == 0


def test_the_sealed_verdict_is_the_one_shown(shelf: Shelf) -> None:
    """A report shows what was sealed; a run that was changed since gets none."""
    run = shelf.add("bad", set(range(0, 60, 2)))
    text = (run / "verdict.json").read_text().replace('"verdict": "rollback"', '"verdict": "promote"')
    (run / "verdict.json").write_text(text)
    ran = shelf.canary("report", run)

    assert ran.status == 2
    assert "verdict.json changed" in ran.err
    assert not (shelf.runs / "bad.html").exists()


@pytest.mark.parametrize("command", ["report", "log"])
def test_an_unfinished_run_is_named_once(shelf: Shelf, command: str) -> None:
    """With what is missing, and how to go on."""
    run = shelf.add("cut", set())
    (run / "manifest.json").unlink()
    ran = shelf.canary(command, run)

    assert ran.status == 2
    assert ran.err == (
        f"canary: {run} is not finished: it has no manifest.json; continue with canary run --resume {run}, "
        "or run again\n"
    )


def test_nothing_is_written_into_a_run(shelf: Shelf) -> None:
    """A page inside a sealed run would break its seal."""
    run = shelf.add("same", set())
    ran = shelf.canary("report", run, "--out", run / "deep" / "page.html")

    assert ran.status == 2
    assert "'--out' must lie outside of a finished run" in ran.err
    assert shelf.canary("verify", run).status == 0


@pytest.mark.parametrize("arguments", [[], ["RUN", "--index", "RUNS"], ["nowhere"], ["--index", "nowhere"]])
def test_wrong_questions(shelf: Shelf, arguments: list[str]) -> None:
    """None or two of the three pages, and runs that are not there, are exit 2."""
    run = shelf.add("same", set())
    known = {"RUN": run, "RUNS": shelf.runs, "nowhere": shelf.folder / "nowhere"}
    ran = shelf.canary("report", *(known.get(argument, argument) for argument in arguments))

    assert ran.status == 2
    assert ran.err.startswith("canary: ")
    assert ran.out == ""


def test_open(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--open` shows the page; where there is no browser it says so and is no failure."""
    shown: list[str] = []
    monkeypatch.setattr("webbrowser.open", shown.append)
    ran = shelf.canary("report", shelf.add("same", set()), "--open")

    assert shown == [(shelf.runs / "same.html").as_uri()]
    assert ran.status == 0
    assert "no browser here" in ran.err


@pytest.mark.parametrize("opened", LOOKS, indirect=True, ids=lambda look: f"{look[0]}-{look[1]}")
def test_two_runs_side_by_side(shelf: Shelf, opened: Any) -> None:
    """What changed between two candidates: verdicts, signals, and the cases that flipped between them."""
    first, second = shelf.add("first", set(range(0, 60, 2))), shelf.add("second", {1, 3})
    ran = shelf.canary("report", "--compare", first, second)
    path = Path(ran.out.strip())
    opened.open(path)
    page = opened.page

    assert ran.status == 0, ran.err
    assert path == shelf.runs / "first-and-second.html"
    assert [text.split()[-1] for text in page.locator(".run .badge").all_inner_texts()] == ["rollback", "hold"]
    row = page.locator("#signals tbody tr", has_text="quality/sizes/pass").first
    assert "fail -> pass" in row.inner_text()
    assert row.locator(".point").count() == 2
    assert page.locator("#found").inner_text() == "2 cases found"  # the two that only the second fails
    page.locator("#direction").select_option(label="won in the second (30)")
    assert page.locator("#found").inner_text() == "30 cases found"
    assert page.locator(".note").count() == 0

    page.locator("details.advisory > summary").click()
    opened.require_accessible()
    opened.require_quiet(path)
    assert not opened.is_wider_than_its_window()


def test_other_questions_are_named(shelf: Shelf) -> None:
    """Two runs under other policies are compared, and the page says that they answered other questions."""
    first = shelf.add("first", set())
    policy = shelf.folder / "policy.yaml"
    policy.write_text("version: 1\nquality: {max_drop: 0.2}\n")
    arms = [shelf.folder / f"{name}.jsonl" for name in ("v1", "first")]
    shelf.canary("compare", *arms, "--golden", shelf.golden, "--policy", policy, "--out", shelf.runs / "loose")
    ran = shelf.canary("report", "--compare", first, shelf.runs / "loose", "--out", shelf.folder / "v.html")

    assert ran.status == 0, ran.err
    assert "do not answer the same question: the policies differ." in (shelf.folder / "v.html").read_text()


@pytest.mark.parametrize("opened", LOOKS, indirect=True, ids=lambda look: f"{look[0]}-{look[1]}")
def test_index(shelf: Shelf, opened: Any) -> None:
    """Sealed runs are listed and linked, whatever they are called; baselines are charted; a broken run is named."""
    shelf.add("<img src=x onerror=alert(1)>", set())
    shelf.add("b-bad", set(range(0, 60, 2)))
    broken = shelf.add("c-broken", set())
    (broken / "verdict.json").write_text("{}")
    ran = shelf.canary("report", "--index", shelf.runs)
    path = shelf.runs / "index.html"
    opened.open(path)
    page = opened.page

    assert ran.status == 0, ran.err
    assert "c-broken is left out" in ran.err
    assert page.locator("#runs tbody tr").count() == 2
    assert "c-broken is left out" in page.locator(".note").inner_text()
    assert page.locator(".control circle").count() == 2
    opened.require_accessible()
    opened.require_quiet(path)
    assert not opened.is_wider_than_its_window()

    page.get_by_role("link", name="b-bad").click()
    assert page.get_by_role("heading", name="rollback", level=1).is_visible()


def test_an_empty_folder_has_an_index(shelf: Shelf) -> None:
    """No run is no mistake."""
    shelf.runs.mkdir()

    assert shelf.canary("report", "--index", shelf.runs).status == 0
    assert "No finished run." in (shelf.runs / "index.html").read_text()
