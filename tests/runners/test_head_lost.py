"""The head node of a cluster goes away while a run needs it, as a user's command sees it."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil
import pytest

from tests.jsonl import write_jsonl
from tests.runners.actors import HANGS_S, until, wide, workspace
from tests.runners.test_chaos import asked, command, endpoint, head, run_of, slowly, written

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"),
]


def test_a_head_node_that_goes_away_stops_the_run(tmp_path: Path) -> None:
    """Exit 4 in bounded time, not Ray's own 1, which would say `rollback`; the run goes on elsewhere."""
    pytest.importorskip("ray")
    with endpoint() as server, head() as (node, port):
        release = {"engine": "openai", "model": "m", "base_url": server.url, "api_key": "sk-x"}
        pipeline = workspace(tmp_path, release, count=300, policy=wide(tmp_path))

        server.at[60] = lambda: slowly(server, node.terminate)
        driver = command(tmp_path, pipeline, "--runs", "runs", RAY_ADDRESS=f"127.0.0.1:{port}")
        _, said = driver.communicate(timeout=HANGS_S)
        kept = asked(tmp_path)

        server.pause_s = 0.0
        resumed = command(tmp_path, "--resume", run_of(tmp_path), "--json")
        out, also = resumed.communicate(timeout=HANGS_S)

    assert driver.returncode == 4, said
    assert re.search(rf"canary: the cluster's head node is lost: nothing has answered at [\d.]+:{port} for 4 s", said)
    assert "Traceback" not in said
    assert 20 <= len(kept) < 600
    assert resumed.returncode == 0, also
    assert json.loads(out)["verdict"] == "promote"
    assert asked(tmp_path) == {(str(n), arm): 1 for n in range(300) for arm in ("baseline", "candidate")}


def test_a_head_node_that_goes_away_just_before_an_arm_stops_the_run(tmp_path: Path) -> None:
    """To replace an arm waits for the head node, which must not keep the run from seeing that there is none."""
    pytest.importorskip("ray")
    with endpoint() as server, head() as (node, port):
        release = {"engine": "openai", "model": "m", "base_url": server.url, "api_key": "sk-x"}
        pipeline = workspace(tmp_path, release, count=300, policy=wide(tmp_path))
        below = partial(psutil.Process(node.pid).children, recursive=True)

        def go_away() -> None:
            for name in ("gcs_server", "ray::Host"):
                for one in below():
                    if one.name().startswith(name):
                        one.kill()

        server.at[60] = go_away
        driver = command(tmp_path, pipeline, "--runs", "runs", RAY_ADDRESS=f"127.0.0.1:{port}")
        try:
            _, said = driver.communicate(timeout=HANGS_S)
        finally:
            driver.kill()

    assert driver.returncode == 4, said
    assert re.search(rf"canary: the cluster's head node is lost: nothing has answered at [\d.]+:{port} for 4 s", said)
    assert "Traceback" not in said


def embedded(folder: Path) -> Path:
    """A pipeline of recorded answers that an actor with a GPU embeds, where the cluster has one."""
    rows = [{"id": f"c{n}", "vars": {"prompt": f"{n}?"}, "expected": f"{n} red houses"} for n in range(150)]
    answers = [{"id": row["id"], "output": f"{row['expected']}!"} for row in rows]
    for name, lines in (("prompts", rows), ("v1", answers)):
        write_jsonl(folder / f"{name}.jsonl", lines)
    (folder / "suite.yaml").write_text(
        'golden_sets: [prompts.jsonl]\nassert: [{type: similar, value: "{{expected}}", threshold: 0.7}]\n'
    )
    (folder / "p.yaml").write_text(
        "suite: suite.yaml\nrunner: {type: ray, cpus_per_arm: 0.25, scorer_gpus: 0.5}\n"
        "baseline: {name: v1, engine: replay, responses: v1.jsonl}\n"
        "candidate: {name: v2, engine: replay, responses: v1.jsonl}\n"
    )
    return folder / "p.yaml"


def test_a_head_node_that_goes_away_while_answers_are_embedded(tmp_path: Path) -> None:
    """All answers are there, so that the run ends with its verdict: they are embedded here, and Ray ends nothing."""
    pytest.importorskip("ray")
    with head("--num-gpus=1") as (node, port):
        environment = {"RAY_ADDRESS": f"127.0.0.1:{port}", "XDG_CACHE_HOME": str(tmp_path / "cache")}
        driver = command(tmp_path, embedded(tmp_path), "--runs", "runs", "--json", **environment)
        cluster = psutil.Process(node.pid).children(recursive=True)
        until(written(tmp_path, 300))
        until(lambda: any("Encoder" in (one.info["name"] or "") for one in psutil.process_iter(["name"])))
        for one in cluster:  # at once, as a machine that lost its power
            with suppress(psutil.NoSuchProcess):
                one.kill()
        out, said = driver.communicate(timeout=HANGS_S)

    assert driver.returncode == 0, said
    assert said.count("canary: answers are embedded here: ") == 1
    assert "Traceback" not in said
    assert json.loads(out)["verdict"] == "promote"


LEADERLESS = """
import psutil
from canary.runners import scorer

require = scorer.require

def last(*head):
    require(*head)
    scorer.require = require
    below = psutil.Process({node}).children(recursive=True)
    (leader,) = [one for one in below if one.name() == "gcs_server"]
    leader.kill()
    leader.wait()

scorer.require = last
"""
"""Has the head node go away once a run has seen that it is there, before the scorer's actor is asked for."""


def test_a_head_node_that_goes_away_just_before_the_scorer(tmp_path: Path) -> None:
    """To create an actor waits for the head node, which must not keep the run from its verdict."""
    pytest.importorskip("ray")
    with head("--num-gpus=1") as (node, port):
        environment = {"RAY_ADDRESS": f"127.0.0.1:{port}", "XDG_CACHE_HOME": str(tmp_path / "cache")}
        goes = LEADERLESS.format(node=node.pid)
        driver = command(tmp_path, embedded(tmp_path), "--runs", "runs", "--json", before=goes, **environment)
        try:
            out, said = driver.communicate(timeout=HANGS_S)
        finally:
            driver.kill()

    assert driver.returncode == 0, said
    assert said.count("canary: answers are embedded here: the cluster's head node is lost: ") == 1
    assert "Traceback" not in said
    assert json.loads(out)["verdict"] == "promote"
