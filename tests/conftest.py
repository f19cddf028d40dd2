"""What several test files need."""

from __future__ import annotations

import gc
import hashlib
import io
import json
import os
import shutil
import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from canary.cli import main

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data"
COMPUTING = ("tests/stats/", "tests/signals/", "tests/looks/", "tests/test_prediction.py")
"""Where tests only compute, each for itself."""
SERVING = ("tests/engines/test_openai_real.py", "tests/run/test_sequence.py", "tests/runners/", "tests/test_submit")
"""Where servers and Ray are started, which want the machine one after the other, as every test of vLLM does."""

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test waits for a model hub
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # several would wait for each other, busily
for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
    os.environ.pop(name, None)  # a hook's: what tests commit would go to its repository
settings.register_profile("gate", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("gate")  # the same examples for everyone, and no opinion on how fast a machine is


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None]:
    """What servers leave behind is reported while the filters of their tests hold, not in a test that follows."""
    yield
    filters = item.get_closest_marker("filterwarnings")
    if filters is not None and (nextitem is None or nextitem.get_closest_marker("filterwarnings") != filters):
        gc.collect()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Where pytest has several processes (`-n 2`), one has the tests with servers, and the others all else by files."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            if nodeid.startswith(SERVING) or "vllm" in nodeid:
                return "servers"
            return nodeid if nodeid.startswith(COMPUTING) else nodeid.partition("::")[0]

    return Scheduling(config, log)


@pytest.fixture
def shared_data() -> Path:
    """Real outputs of real models; a user's machine has none."""
    if not DATA.is_dir():
        pytest.skip(f"no real outputs at {DATA}: see the README for their public sources")
    return DATA


KILLED = """\
import os, signal
from canary.cli import entry
from canary.journal import Journal

append = Journal.append

def last(journal, *answers):
    append(journal, *answers)
    if len(journal.completed) == {pairs}:
        os.kill(os.getpid(), signal.SIGKILL)

Journal.append = last
entry()
"""


def killed_after(pairs: int) -> list[str]:
    """The program `canary`, ended by `kill -9` once so many pairs are answered, however fast they come."""
    return [sys.executable, "-c", KILLED.format(pairs=pairs)]


class Ran:
    """A command's exit status and what it printed."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err

    @property
    def verdict(self) -> dict[str, Any]:
        """The verdict document of `--json`."""
        document: dict[str, Any] = json.loads(self.out)
        return document

    def signal(self, name: str) -> dict[str, Any]:
        """One signal of the verdict document."""
        found: dict[str, Any] = next(s for s in self.verdict["signals"] if s["name"] == name)
        return found


@pytest.fixture
def canary() -> Callable[..., Ran]:
    """Run the command line in process: `canary("compare", a, b)`."""

    def run(*argv: object) -> Ran:
        out, err = io.StringIO(), io.StringIO()
        status = main([str(argument) for argument in argv], out, err)
        return Ran(status, out.getvalue(), err.getvalue())

    return run


@pytest.fixture
def write_lines(tmp_path: Path) -> Callable[[str, list[Mapping[str, Any]]], Path]:
    """Write a JSONL file: `write_lines("a.jsonl", [{"id": "1"}])`."""

    def write(name: str, rows: list[Mapping[str, Any]]) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path

    return write


CHROMIUM = Path(shutil.which("chromium") or shutil.which("google-chrome") or "/usr/bin/chromium")
CHROMIUM_OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
)


HANGS_MS = 240_000
"""Milliseconds after which a browser is taken to hang, whatever else the machine does."""


class Opened:
    """A page in a browser, and everything it should not have done."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.said: list[str] = []
        self.asked: list[str] = []
        page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        page.on("dialog", self._dialog)
        page.on("request", lambda request: self.asked.append(request.url))

    def _dialog(self, dialog: Any) -> None:
        self.said.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def open(self, path: Path) -> None:
        """Load a file from disk."""
        self.asked.clear()
        self.page.goto(path.resolve().as_uri())

    def require_quiet(self, path: Path) -> None:
        """Nothing was said, asked for, or run."""
        assert self.said == []
        assert [url for url in self.asked if url != path.resolve().as_uri() and not url.startswith("data:")] == []

    def require_accessible(self) -> None:
        """axe-core finds no serious or critical violation."""
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(self.page).response["violations"]
        grave = [
            f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found if one["impact"] in {"serious", "critical"}
        ]

        assert grave == []

    def is_wider_than_its_window(self) -> bool:
        """Whether a reader would have to scroll sideways."""
        wider = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        return bool(self.page.evaluate(wider))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium; without it these tests skip, which CI never does."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install '.[dev]'")
    if not CHROMIUM.is_file():
        pytest.skip(f"no browser at {CHROMIUM}: apt-get install chromium")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=str(CHROMIUM), args=list(CHROMIUM_OPTIONS), timeout=HANGS_MS)
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser: Any, request: pytest.FixtureRequest) -> Iterator[Opened]:
    """A fresh page; parametrized indirectly it takes its width and colours, like `(390, "dark")`."""
    width, colours = getattr(request, "param", (1280, "light"))
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=colours)
    page.set_default_timeout(HANGS_MS)
    yield Opened(page)
    page.close()


@pytest.fixture
def check_digests() -> Callable[[Path], Mapping[str, Path]]:
    """`check_digests(folder)`: SHA256SUMS lists every shipped file with its digest, and no other; the files by name."""

    def check(folder: Path) -> Mapping[str, Path]:
        lines = (folder / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
        shipped = {path.relative_to(folder).as_posix(): path for path in folder.glob("*/*")}
        assert {name: digest for digest, name in (line.split("  ") for line in lines)} == {
            name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in shipped.items()
        }
        return shipped

    return check
