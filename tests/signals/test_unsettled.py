"""Pairs that a judge left open count against whatever is claimed."""

from __future__ import annotations

import numpy as np
import pytest

from canary.agreement import JudgeCalibration
from canary.codec import golden_digest
from canary.digest import digest_of
from canary.evaluate import evaluate
from canary.judging import JudgePlan
from canary.pipeline import Suite
from canary.plan import Plan, ReleasePlan, StratumPlan
from canary.policy import Policy
from canary.records import Arm, Decision, Evidence, Prompt, Response, Scale, Score, Signal, Status, Verdict
from canary.run.agreement import Verdicts, agreements_of

N = 400
DIGEST = "d" * 64
KINDS = ((True, True, 195), (True, False, 5), (False, True, 5), (False, False, 195))
AGREED = agreements_of(
    [Verdicts(stratum=None, label=label, said=said) for label, said, count in KINDS for _ in range(count)]
)
KNOWN = JudgeCalibration(
    metric="polite", judge=DIGEST, labels="0" * 64, asked=False, abstained=0, fit=True, reason="", strata=AGREED
)  # fmt: skip


def judged(baseline: list[float | None], candidate: list[float | None]) -> Verdict:
    """The verdict where a fit judge decides; None is an abstention."""
    prompts = tuple(
        Prompt(
            id=f"c{i:04d}", digest=digest_of(i), stratum="default", cluster=f"c{i:04d}", vars={}, messages=None,
            expected=None, asserts=(),
        )
        for i in range(len(baseline))
    )  # fmt: skip
    scores = tuple(
        Score(
            id=prompt.id, arm=arm, repeat=0, metric="polite", scale=Scale.PASS_FAIL, value=value,
            passed=None if value is None else value > 0, reason="the judge was silent" if value is None else "",
        )
        for arm, values in zip(Arm, (baseline, candidate), strict=True)
        for prompt, value in zip(prompts, values, strict=True)
    )  # fmt: skip
    responses = tuple(Response(id=prompt.id, arm=arm, output="x") for arm in Arm for prompt in prompts)
    plan = Plan(
        stage="staging",
        baseline=ReleasePlan(name="v1", digest=digest_of(1), release={"engine": "replay"}),
        candidate=ReleasePlan(name="v2", digest=digest_of(2), release={"engine": "replay"}),
        policy=Policy.model_validate({"quality": {"metrics": {"polite": {"tier": "blocking"}}, "max_drop": 0.1}}),
        suite=Suite(golden_sets=("g",)),
        strata=(StratumPlan(name="default", cases=len(baseline), weight=1.0),),
        golden_sha256=golden_digest(prompts),
        seed=0,
        versions={},
        judges={"polite": JudgePlan(digest=DIGEST, cases=len(baseline), calibration=KNOWN)},
    )
    return evaluate(Evidence(prompts=prompts, responses=responses, scores=scores), plan)


def polite(verdict: Verdict) -> Signal:
    """The judged signal."""
    return next(signal for signal in verdict.signals if signal.name == "quality/all/polite")


def silent(values: list[float | None], *places: int) -> list[float | None]:
    """The same, with abstentions."""
    return [None if i in places else value for i, value in enumerate(values)]


SAME: list[float | None] = [*([1.0] * 9), 0.0] * (N // 10)


def test_a_few_are_tolerated_and_said() -> None:
    """An unchanged candidate passes with four of four hundred open; its interval is wider for it."""
    whole, gaps = polite(judged(SAME, SAME)), polite(judged(SAME, silent(SAME, 3, 77, 200, 399)))

    assert (whole.status, gaps.status) == (Status.PASS, Status.PASS)
    assert gaps.n == N - 4
    assert whole.low is not None
    assert gaps.low is not None
    assert gaps.low < whole.low - 0.005
    assert any("4 pairs are left open" in warning for warning in gaps.warnings)


@pytest.mark.parametrize("count", [40, 80, 400])
def test_more_than_the_margin_is_missing_evidence(count: int) -> None:
    """Whoever could have lost them all is not promoted."""
    verdict = judged(SAME, silent(SAME, *range(count)))

    assert verdict.verdict is Decision.HOLD
    assert polite(verdict).status is Status.INCONCLUSIVE
    assert "the judge was silent" in polite(verdict).reason


def test_a_judge_silent_on_the_candidates_bad_answers_does_not_promote_it() -> None:
    """Fifty lost, thirty of them unseen: without these it would be well inside the margin."""
    lost: list[float | None] = [0.0 if i % 10 != 9 and i // 10 < 6 else value for i, value in enumerate(SAME)]
    losses = [i for i in range(N) if lost[i] != SAME[i]]
    verdict = judged(SAME, silent(lost, *losses[:30]))

    assert len(losses) == 54
    assert verdict.verdict is not Decision.PROMOTE


def test_silence_on_good_answers_does_not_roll_back() -> None:
    """What is open counts as won before harm is claimed, so that silence never adds to it."""
    worse: list[float | None] = [0.0 if i in range(0, 40, 5) else value for i, value in enumerate(SAME)]
    better = [i for i in range(N) if SAME[i] == 0.0 and i > 40][:8]
    known = polite(judged(SAME, worse))
    open_ = polite(judged(SAME, silent(worse, *better)))

    assert known.p_harm is not None
    assert open_.p_harm is not None
    assert open_.p_harm > known.p_harm
    assert np.isfinite(open_.p_harm)
