"""Control-C more often than once, as a user's terminal sees it."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.runners.actors import HANGS_S, wide, workspace
from tests.runners.test_chaos import asked, command, endpoint, family, openai, require_gone, run_of, slowly

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")

RAY = {"type": "ray", "cpus_per_arm": 0.5}


@pytest.mark.parametrize("runner", ["local", pytest.param(RAY, id="ray", marks=pytest.mark.slow)])
@pytest.mark.parametrize("is_told", [True, False], ids=["after the last words", "at once"])
def test_whoever_asks_thrice_is_told_once(tmp_path: Path, runner: Any, is_told: bool) -> None:  # noqa: FBT001
    """The command ends with 130 and no traceback, leaves no process, and its run goes on to the verdict."""
    begun = threading.Event()
    with endpoint() as server:
        server.at[60] = lambda: slowly(server, begun.set)
        pipeline = workspace(tmp_path, openai(server), count=150, runner=runner, policy=wide(tmp_path))
        driver = command(tmp_path, pipeline, "--runs", "runs", "--no-early-stop")
        assert begun.wait(HANGS_S)
        left = family(driver)
        driver.send_signal(signal.SIGINT)
        assert driver.stderr is not None
        said = next(line for line in driver.stderr if "interrupted" in line) if is_told else ""
        for _ in range(2):
            driver.send_signal(signal.SIGINT)
        _, rest = driver.communicate(timeout=HANGS_S)
        require_gone(left)

        server.pause_s = 0.0
        resumed = command(tmp_path, "--resume", run_of(tmp_path), "--json")
        out, also = resumed.communicate(timeout=HANGS_S)

    assert (driver.returncode, "Traceback" in rest) == (130, False), rest
    assert not is_told or f"go on with canary run --resume {run_of(tmp_path).relative_to(tmp_path)}\n" in said
    assert resumed.returncode == 0, also
    assert json.loads(out)["verdict"] == "promote"
    assert asked(tmp_path) == {(str(n), arm): 1 for n in range(150) for arm in ("baseline", "candidate")}
