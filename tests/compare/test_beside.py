"""Cases that a failing baseline left without an answer to hold others against."""

from __future__ import annotations

import pytest

from canary.assertions.scoring import score
from canary.codec import golden_digest
from canary.digest import digest_of
from canary.evaluate import evaluate
from canary.pipeline import Suite
from canary.plan import Plan, ReleasePlan, StratumPlan
from canary.policy import Policy
from canary.protocols import Tools
from canary.records import Arm, Decision, ErrorKind, Evidence, Failure, Prompt, Response, Signal, Verdict

N = 400
SAME = {"type": "equals", "value": "{{baseline}}", "metric": "same"}
DOWN = Failure(kind=ErrorKind.SERVER, message="503")


def said(arm: Arm, i: int, unlike: int, quiet: int) -> str:
    """The i-th answer: the baseline is silent on the first few, and the candidate says something else."""
    if arm is Arm.BASELINE:
        return " " if i < quiet else "same"
    return "other" if i < unlike else "same"


def judged(failing: int, unlike: int = 0, quiet: int = 0) -> Verdict:
    """The verdict where the baseline's second answer failed so often, and the candidate answers some otherwise."""
    prompts = tuple(
        Prompt(
            id=f"c{i:03d}", digest=digest_of(i), stratum="default", cluster=f"c{i:03d}", vars={}, messages=None,
            expected=None, asserts=(),
        )
        for i in range(N)
    )  # fmt: skip
    responses = [
        Response(
            id=prompt.id,
            arm=arm,
            repeat=k,
            output=said(arm, i, unlike, quiet),
            error=DOWN if arm is Arm.BASELINE and k and i < failing else None,
        )
        for i, prompt in enumerate(prompts)
        for arm in Arm
        for k in (0, 1)
    ]
    tools = Tools(embed=lambda: pytest.fail("nothing is embedded"))
    plan = Plan(
        stage="shadow",
        baseline=ReleasePlan(name="v1", digest=digest_of(1), release={"engine": "replay"}),
        candidate=ReleasePlan(name="v2", digest=digest_of(2), release={"engine": "replay"}),
        policy=Policy.model_validate({"quality": {"max_drop": 0.05}}),
        suite=Suite.model_validate({"golden_sets": ["g"], "assert": [SAME], "repeat": 2}),
        strata=(StratumPlan(name="default", cases=N, weight=1.0),),
        golden_sha256=golden_digest(prompts),
        seed=0,
        versions={},
    )
    scores = score(prompts, responses, [SAME], tools, {}, "shadow")
    return evaluate(Evidence(prompts=prompts, responses=tuple(responses), scores=tuple(scores)), plan)


def passing(verdict: Verdict) -> Signal:
    """The signal that decides."""
    return next(signal for signal in verdict.signals if signal.name == "quality/all/pass")


def test_a_few_count_against_whatever_is_claimed() -> None:
    """As lost before a promotion, as won before a rollback, and the report says how many."""
    verdict = judged(failing=3)

    assert verdict.verdict is Decision.PROMOTE
    assert passing(verdict).n == N - 3
    assert any("3 pairs are left open: to promote they count as lost" in text for text in passing(verdict).warnings)


def test_more_than_the_margin_hold() -> None:
    """A candidate of whom so little is known is not promoted."""
    verdict = judged(failing=N // 10)

    assert verdict.verdict is Decision.HOLD
    assert "the baseline gave no other answer to hold it against" in passing(verdict).reason


@pytest.mark.parametrize("failing", [8, N // 2, N - 12, N])
def test_a_baseline_that_is_down_hides_no_stranger(failing: int) -> None:
    """A candidate that answers everything otherwise is never promoted, however little there is to hold it against."""
    assert judged(failing=failing, unlike=N).verdict is not Decision.PROMOTE


def test_an_unlike_candidate_is_rolled_back() -> None:
    """A tenth of the answers are others."""
    assert judged(failing=3, unlike=N // 10).verdict is Decision.ROLLBACK


@pytest.mark.parametrize("quiet", [8, N // 2])
def test_a_baseline_that_says_nothing_hides_no_stranger(quiet: int) -> None:
    """What the candidate answers where the baseline is silent is not known to be right: beyond the margin, a hold."""
    assert judged(failing=0, quiet=quiet, unlike=quiet).verdict is (Decision.PROMOTE if quiet < 9 else Decision.HOLD)
