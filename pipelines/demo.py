"""Gate two candidates live: one is promoted, one is stopped.

    python pipelines/demo.py

Exit status 0 when both verdicts are the right ones.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

PIPELINES = Path(__file__).resolve().parent
EXPECTED = {"quickstart-good": 0, "quickstart-bad": 1}
NEXT = {
    "canary replay {run}": "judge the same answers again: no model needed",
    "canary plan pipelines/quickstart-bad.yaml": "what can these cases detect?",
    "canary run": "judge outputs that were recorded before",
    "canary init somewhere": "start a workspace of your own",
}


def main() -> int:
    """Run both pipelines, then show both verdicts on one screen."""
    lines, went_right, run = [], True, Path()
    for name, status in EXPECTED.items():
        runs = Path("runs", name)
        print(f"\n== canary run pipelines/{name}.yaml\n", flush=True)
        command = [sys.executable, "-m", "canary", "run", str(PIPELINES / f"{name}.yaml"), "--runs", str(runs)]
        done = subprocess.run(command, check=False)
        went_right = went_right and done.returncode == status
        if done.returncode not in {0, 1, 3}:
            return done.returncode
        run = max((path.parent for path in runs.glob("*/verdict.json")), key=lambda path: path.stat().st_mtime)
        verdict = json.loads((run / "verdict.json").read_text(encoding="utf-8"))
        lines += [f"{name + ':':<16} {verdict['verdict']}: {verdict['reason']}", *lost(verdict)]
    print("\n== both verdicts\n", *lines, "\nwhat to try next", sep="\n")
    if shutil.which("canary") is None:
        print(
            f"  {'. ' + os.path.relpath(sys.prefix) + '/bin/activate':<62}  put canary on the PATH of this shell, first"
        )
    for words, use in NEXT.items():
        print(f"  {words.format(run=run):<62}  {use}")
    return 0 if went_right else 1


def lost(verdict: dict[str, Any]) -> list[str]:
    """A line that names the strata whose quality failed, or none."""
    failed = [s for s in verdict["signals"] if (s["kind"], s["tier"], s["status"]) == ("quality", "blocking", "fail")]
    names = sorted({s["stratum"] for s in failed} - {"all"})
    return [f"{'':<16} lost stratum: {', '.join(names)}"] if names else []


if __name__ == "__main__":
    sys.exit(main())
