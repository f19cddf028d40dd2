"""The shipped log of requests: made again, imported again, and asked of real models."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from canary.assertions.overlap import token_f1, tokens
from canary.evidence import load_run
from canary.stats.paired import compare_scores

Canary = Callable[..., Any]
ROOT = Path(__file__).resolve().parent.parent
PIPELINE = ROOT / "pipelines" / "shadow.yaml"
REPLICATES = 2_000
LIMIT = 0.05 + 3 * np.sqrt(0.05 * 0.95 / REPLICATES)


def test_the_log_is_what_its_generator_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Byte for byte, and none of it was ever trained on."""
    monkeypatch.syspath_prepend(str(ROOT))
    from training import requests

    assert requests.LOG.read_text(encoding="utf-8") == requests.log_text()


def test_the_golden_set_is_what_the_importer_writes(
    canary: Canary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cases, arrivals and weights; its manifest says more than the importer can know."""
    monkeypatch.chdir(tmp_path)
    done = canary(
        "import", "requests", ROOT / "pipelines" / "requests.jsonl", "--strata-by", "metadata.route", "--out", tmp_path
    )

    assert done.status == 3, done.err  # the picture
    made, shipped = (root / "golden_sets" / "requests" for root in (tmp_path, ROOT))
    for name in ("prompts.jsonl", "trace.jsonl"):
        assert (made / name).read_text() == (shipped / name).read_text()
    weights = [(folder / "manifest.yaml").read_text().partition("strata:")[2] for folder in (made, shipped)]
    assert weights[0] == weights[1]


def test_the_pipeline_would_promote_an_unchanged_candidate(canary: Canary) -> None:
    """Shipped pipelines keep the predicted probability at 0.9 or more; every request is asked twice."""
    ran = canary("plan", PIPELINE, "--stage", "shadow")

    assert ran.status == 0, ran.err
    found = re.search(r"promoted with probability (\d\.\d+)", ran.out)
    assert found is not None
    assert float(found[1]) >= 0.9
    assert "candidate: 600 requests" in ran.out


def copied(folder: Path, repeat: int, cases: int, **candidate: object) -> Path:
    """The shipped pipeline in another folder, with other repeats and another candidate."""
    suite = (ROOT / "evals" / "shadow.yaml").read_text().replace("repeat: 2", f"repeat: {repeat}")
    (folder / "suite.yaml").write_text(suite.replace("../golden_sets", f"{ROOT}/golden_sets"))
    side = {"engine": "transformers", "model": str(ROOT / "pipelines/checkpoints/baseline"), "threads": 1}
    sampling = {"temperature": 0.8, "max_tokens": 24}
    pipeline = {
        "suite": "suite.yaml",
        "policy": str(ROOT / "evals" / "shadow-policy.yaml"),
        "baseline": {**side, "name": "baseline", "sampling": sampling},
        "candidate": {**side, "name": "candidate", "sampling": sampling, **candidate},
        "stages": {"shadow": {"cases": cases}},
        "runner": "local",
    }
    (folder / "p.yaml").write_text(json.dumps(pipeline))
    return folder / "p.yaml"


@pytest.mark.slow
def test_a_model_that_forgot_something_is_rolled_back(canary: Canary, tmp_path: Path) -> None:
    """Nobody says what is right, and still the category that is lost is named."""
    path = copied(
        tmp_path,
        2,
        300,
        model=str(ROOT / "pipelines/checkpoints/candidate-bad"),
        sampling={"temperature": 0.2, "max_tokens": 24},
    )
    path.write_text(path.read_text().replace("0.8", "0.2"))
    ran = canary("run", path, "--stage", "shadow", "--runs", tmp_path / "runs", "--json")

    assert ran.verdict["verdict"] == "rollback", ran.err
    lost = ran.signal("quality/tool_call/similar-to-baseline")
    assert lost["high"] < 0


@pytest.mark.slow
def test_a_sampled_model_against_itself_rarely_alarms(canary: Canary, tmp_path: Path) -> None:
    """Of twelve answers that a real model gave each request at temperature 0.8, any four are two arms of two."""
    path = copied(tmp_path, 6, 80)
    canary("run", path, "--stage", "shadow", "--runs", tmp_path / "runs", "--json")
    (run,) = (folder for folder in (tmp_path / "runs").iterdir() if folder.is_dir())
    _, evidence = load_run(run)
    said: dict[str, list[list[str]]] = {}
    for response in sorted(evidence.responses, key=lambda one: (one.id, one.arm, one.repeat)):  # not as they came
        said.setdefault(response.id, []).append(tokens(response.output))
    alike = np.array([[[token_f1(one, other) for other in of_case] for one in of_case] for of_case in said.values()])

    assert alike.shape == (len(evidence.prompts), 12, 12)
    rng, rows, alarms = np.random.default_rng(0), np.arange(len(alike)), 0
    for _ in range(REPLICATES):
        b0, b1, c0, c1 = np.argsort(rng.random(alike.shape[:2]), axis=1)[:, :4].T
        baseline = (alike[rows, b0, b1] + alike[rows, b1, b0]) / 2
        candidate = (alike[rows, c0, b1] + alike[rows, c1, b0]) / 2
        found = compare_scores(baseline, candidate, rows, margin=0.1, alpha=0.05, bounded=True, seed=0)
        alarms += found.can_reject and found.harm.p <= 0.05

    assert np.mean(alike < 1) > 0.1  # sampled indeed
    assert alarms / REPLICATES <= LIMIT
