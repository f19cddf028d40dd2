"""What a person sees in MLflow's UI, with a real browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import HANGS_MS
from tests.tracking.conftest import Desk, Server

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]


@pytest.fixture
def chromium() -> str:
    """The browser's program."""
    pytest.importorskip("playwright.sync_api", reason="no playwright: pip install playwright")
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    return found or pytest.skip("no Chromium: apt-get install chromium")


@contextmanager
def browsing(chromium: str) -> Iterator[Any]:
    """A page; while it is open its event loop runs in this thread, so nothing else that has one may."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=FLAGS, timeout=HANGS_MS)
        opened = browser.new_page(viewport={"width": 1600, "height": 1000})
        opened.set_default_timeout(HANGS_MS)
        yield opened
        browser.close()


def test_a_person_sees_the_verdict_and_the_answers(server: Server, desk: Desk, chromium: str, tmp_path: Path) -> None:
    """The run's page shows the verdict, its numbers by stratum and its record; the traces show the answers."""
    tracking = {"tracking_uri": server.url, "experiment": "seen"}
    desk.run(wrong=20, cases=24, reporters=["markdown", "mlflow"], mlflow=tracking)
    (gate,) = server.gates("seen")
    place = f"{server.url}/#/experiments/{server.experiment('seen')}"
    pictures = Path(os.environ.get("SCREENSHOTS", tmp_path))
    pictures.mkdir(parents=True, exist_ok=True)

    with browsing(chromium) as page:
        page.goto(f"{place}/runs/{gate['info']['run_id']}")
        for text in ("gate.record_sha256", "quality/a/pass", "rollback"):
            page.get_by_text(text).first.wait_for()
        page.screenshot(path=pictures / "mlflow-run.png")
        seen = page.inner_text("body")
        page.goto(f"{place}/traces")
        page.get_by_text("no v2").first.wait_for()
        page.screenshot(path=pictures / "mlflow-traces.png")

    assert "rollback" in seen
    assert "quality/a/pass" in seen
    assert gate["info"]["run_name"] in seen
    assert (pictures / "mlflow-run.png").stat().st_size > 20_000
    assert (pictures / "mlflow-traces.png").stat().st_size > 20_000
