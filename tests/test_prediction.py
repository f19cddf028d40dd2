"""What `canary plan` predicts of an unchanged candidate, held against what happens."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from canary.evaluate import evaluate
from canary.evidence import load_run
from canary.plan import Plan
from canary.records import Arm, Decision, Evidence, Response, Scale, Score
from canary.run.foresee import foresee

Canary = Callable[..., Any]
ROOT = Path(__file__).resolve().parent.parent
REPLICATES = 2_000


def write_pipeline(folder: Path, temperature: float) -> Path:
    """The quickstart's baseline against itself, in this process."""
    release = f"engine: transformers, model: {ROOT}/pipelines/checkpoints/baseline"
    sampling = f"sampling: {{temperature: {temperature}, max_tokens: 24}}"
    (folder / "suite.yaml").write_text(f"golden_sets: [{ROOT}/golden_sets/quickstart]\n")
    path = folder / "same.yaml"
    path.write_text(
        f"suite: suite.yaml\npolicy: {ROOT}/evals/quickstart-policy.yaml\nrunner: local\n"
        f"baseline: {{name: a, {release}, {sampling}}}\ncandidate: {{name: b, {release}, {sampling}}}\n"
    )
    return path


@pytest.mark.parametrize("name", ["quickstart-good", "quickstart-bad"])
def test_the_quickstart_would_promote_an_unchanged_candidate(canary: Canary, name: str) -> None:
    """Shipped pipelines keep the predicted probability at 0.9 or more."""
    ran = canary("plan", ROOT / "pipelines" / f"{name}.yaml")

    assert ran.status == 0, ran.err
    found = re.search(r"promoted with probability (\d\.\d+)", ran.out)
    assert found is not None
    assert float(found[1]) >= 0.9


def test_a_golden_set_too_small_is_refused_with_what_it_lacks(canary: Canary, tmp_path: Path) -> None:
    """Per stratum, how many cases are there and how many must be added."""
    lines = (ROOT / "golden_sets/quickstart/prompts.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "prompts.jsonl").write_text("".join(lines[::10]), encoding="utf-8")
    path = write_pipeline(tmp_path, 0)
    (tmp_path / "suite.yaml").write_text("golden_sets: [prompts.jsonl]\n")

    refused = canary("plan", path)

    assert refused.status == 2
    assert "lacking: the golden set has 75 cases and cannot show a margin of 3 points" in re.sub(
        r"\s+", " ", refused.out
    )
    assert "stratum 'lookup' has 15 cases and cannot show a margin of 10 points with fewer than 28: add 13" in re.sub(
        r"\s+", " ", refused.out
    )
    assert canary("plan", path, "--allow-underpowered").status == 0


@pytest.mark.slow
def test_three_runs_of_the_same_release_promote(canary: Canary, tmp_path: Path) -> None:
    """At temperature 0 no pair differs, the prediction is certainty, and so is the verdict."""
    pytest.importorskip("transformers", reason="needs canary-gate[embeddings]")
    path = write_pipeline(tmp_path, 0)

    for name in ("one", "two", "three"):
        ran = canary("run", path, "--runs", tmp_path / name, "--json")

        assert ran.status == 0, ran.verdict["reason"]
        assert {s["estimate"] for s in ran.verdict["signals"] if s["name"].endswith("/pass")} == {0.0}


@pytest.mark.slow
def test_resampled_evidence_bears_the_prediction_out(canary: Canary, tmp_path: Path) -> None:
    """Two thousand resamples of a real run against itself promote as often as predicted.

    The run samples at a temperature, so that pairs do differ; a resample draws
    pairs within strata and swaps their arms by coin, which is the truth of "no
    change" with the measured discordance.
    """
    pytest.importorskip("transformers", reason="needs canary-gate[embeddings]")
    path = write_pipeline(tmp_path, 0.5)
    ran = canary("calibrate", "noise", path, "--runs", tmp_path / "runs")
    assert ran.status == 0, ran.err
    predicted = foresee(path, stage="staging", early_stop=False).promote
    plan, evidence = load_run(next((tmp_path / "runs").iterdir()))

    promoted = np.mean([decision is Decision.PROMOTE for decision in resampled(plan, evidence)])

    error = np.sqrt(
        promoted * (1 - promoted) / REPLICATES + predicted.promote * (1 - predicted.promote) / predicted.replicates
    )
    assert abs(promoted - predicted.promote) <= 3 * max(error, 1 / REPLICATES), (promoted, predicted)
    assert promoted > 0


def resampled(plan: Plan, evidence: Evidence) -> list[Decision]:
    """The verdict of each resample, on quality alone."""
    rng = np.random.default_rng(0)
    prompts = tuple(sorted(evidence.prompts, key=lambda prompt: prompt.id))
    responses = tuple(Response(id=prompt.id, arm=arm, output="") for prompt in prompts for arm in Arm)
    passed = {(s.arm, s.id): float(s.value or 0) for s in evidence.scores if s.metric == "pass"}
    pairs = np.array([[passed[arm, prompt.id] for arm in Arm] for prompt in prompts])
    strata = np.array([prompt.stratum for prompt in prompts])
    places = [np.flatnonzero(strata == name) for name in np.unique(strata)]
    plan = plan.model_copy(update={"calibration": None, "required": ()})
    decisions = []
    for _ in range(REPLICATES):
        drawn = np.empty(len(prompts), dtype=np.int64)
        for place in places:
            drawn[place] = rng.choice(place, place.size)
        sample = rng.permuted(pairs[drawn], axis=1)
        scores = tuple(
            Score(id=prompt.id, arm=arm, repeat=0, metric="pass", scale=Scale.PASS_FAIL, value=value, passed=value > 0)
            for prompt, row in zip(prompts, sample.tolist(), strict=True)
            for arm, value in zip(Arm, row, strict=True)
        )
        verdict = evaluate(Evidence(prompts=prompts, responses=responses, scores=scores), plan, digests={})
        decisions.append(verdict.verdict)
    return decisions


@pytest.mark.parametrize(
    ("metrics", "unknown"),
    [
        ("{exakt: {min_score: 0.1}}", ["exakt"]),
        ("{exact: {min_score: 0.1}, pass: {min_score: 0.1}}", []),
        ("{exakt: {tier: advisory}}", []),
    ],
)
def test_a_metric_that_nothing_gives_is_lacking(
    canary: Canary, tmp_path: Path, metrics: str, unknown: list[str]
) -> None:
    """A misspelt name would hold every run that it may decide; the plan says which names there are."""
    path = write_pipeline(tmp_path, 0)
    (tmp_path / "policy.yaml").write_text(f"quality: {{metrics: {metrics}}}\n")
    path.write_text(path.read_text().replace(f"{ROOT}/evals/quickstart-policy.yaml", "policy.yaml"))

    ran = canary("plan", path)

    assert re.findall(r"the policy lets metric '(\w+)' decide, but no assertion gives it", ran.out) == unknown
    assert ("(metrics: pass, exact" in ran.out) is bool(unknown)
    assert ran.status == (2 if unknown else 0)


def test_a_critical_stratum_without_cases_is_lacking(canary: Canary, tmp_path: Path) -> None:
    """A misspelt name would hold every run; the plan says so before a token is spent."""
    path = write_pipeline(tmp_path, 0)
    (tmp_path / "policy.yaml").write_text("quality: {critical: {strata: [lokup]}}\n")
    path.write_text(path.read_text().replace(f"{ROOT}/evals/quickstart-policy.yaml", "policy.yaml"))

    ran = canary("plan", path)

    assert ran.status == 2
    assert "stratum 'lokup' critical, but no case belongs to it" in re.sub(r"\s+", " ", ran.out)
