"""Draw docs/report.png: the top of a report, as a browser shows it.

    canary run pipelines/quickstart-bad.yaml
    python docs/picture.py runs/RUN/report.html

The picture in the README is that of `make demo`'s second run.
"""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

HERE = Path(__file__).resolve().parent
CHROMIUM = "/usr/bin/chromium"
WIDTH = 1180


def main(report: Path) -> None:
    """Take the verdict and the first panel of signals, one above the other."""
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": WIDTH, "height": 900}, color_scheme="light", bypass_csp=True)
        page.goto(report.resolve().as_uri())
        page.add_style_tag(content=".top, section:not(#verdict):not(#signals), .advisory, footer { display: none }")
        end = page.locator("#signals .panel").first.bounding_box() or {"y": 0, "height": 900}
        clip = {"x": 0, "y": 0, "width": WIDTH, "height": end["y"] + end["height"] + 24}
        page.screenshot(path=HERE / "report.png", full_page=True, clip=clip)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
