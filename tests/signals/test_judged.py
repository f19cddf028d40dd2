"""A judge decides where it was compared with people, and only as far as that carries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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
from canary.records import (
    Arm,
    Comparison,
    Evidence,
    Label,
    Prompt,
    Response,
    Scale,
    Score,
    Signal,
    Status,
    Tier,
    Verdict,
)
from canary.run.agreement import Verdicts, agreements_of
from canary.signals import measure

DIGEST = "d" * 64
N = 240


def calibration(counts: tuple[int, int, int, int] = (90, 10, 10, 90), *, judge: str = DIGEST, **strata: Any) -> Any:
    """A judge with these counts (both yes, missed, flattered, both no) over all strata and in each named."""
    found = _verdicts(counts, None)
    for name, own in strata.items():
        found += _verdicts(own, name)
    parts = agreements_of(found)
    return JudgeCalibration(
        metric="polite",
        judge=judge,
        labels="0" * 64,
        asked=False,
        abstained=0,
        fit=parts[0].fit,
        reason="",
        strata=parts,
    )


def _verdicts(counts: Sequence[int], stratum: str | None) -> list[Verdicts]:
    kinds = ((True, True), (True, False), (False, True), (False, False))
    return [
        Verdicts(stratum=stratum, label=label, said=said)
        for count, (label, said) in zip(counts, kinds, strict=True)
        for _ in range(count)
    ]


def make_plan(prompts: Sequence[Prompt], known: JudgeCalibration | None, policy: dict[str, Any], repeat: int) -> Plan:
    """A plan whose metric `polite` a judge decides."""
    names = sorted({prompt.stratum for prompt in prompts})
    sizes = [sum(prompt.stratum == name for prompt in prompts) for name in names]
    sides = [ReleasePlan(name=arm, digest=digest_of(arm), release={"engine": "replay"}) for arm in Arm]
    return Plan(
        stage="staging",
        baseline=sides[0],
        candidate=sides[1],
        policy=Policy.model_validate(policy),
        suite=Suite(golden_sets=("g",), repeat=repeat),
        strata=tuple(
            StratumPlan(name=name, cases=size, weight=size / len(prompts))
            for name, size in zip(names, sizes, strict=True)
        ),
        golden_sha256=golden_digest(prompts),
        seed=0,
        versions={},
        judges={"polite": JudgePlan(digest=DIGEST, cases=len(prompts), calibration=known)},
    )


def judged(
    known: JudgeCalibration | None,
    baseline: Any,
    candidate: Any,
    *,
    human: Any = None,
    strata: Sequence[str] | None = None,
    tier: str = "blocking",
    scale: Scale = Scale.PASS_FAIL,
    drop: Sequence[tuple[int, Arm]] = (),
) -> Verdict:
    """The verdict where a judge gave these values, and people `human` (2, cases), NaN where not asked."""
    cases = [f"c{i:04d}" for i in range(len(baseline))]
    prompts = tuple(
        Prompt(
            id=id_, digest=digest_of(id_), stratum=(strata or ["default"] * len(cases))[i], cluster=id_, vars={},
            messages=None, expected=None, asserts=(),
        )
        for i, id_ in enumerate(cases)
    )  # fmt: skip
    arms = list(zip(Arm, (baseline, candidate), strict=True))
    scores = [
        Score(id=id_, arm=arm, repeat=0, metric="polite", scale=scale, value=float(value), passed=bool(value > 0.5))
        for arm, values in arms
        for id_, value in zip(cases, values, strict=True)
    ]
    said = np.full((2, len(cases)), np.nan) if human is None else np.asarray(human, dtype=float)
    labels = [
        Label(id=id_, arm=arm, repeat=0, metric="polite", passed=bool(said[k, i]))
        for k, arm in enumerate(Arm)
        for i, id_ in enumerate(cases)
        if np.isfinite(said[k, i]) and (i, arm) not in drop
    ]
    responses = tuple(Response(id=id_, arm=arm, output="x") for arm in Arm for id_ in cases)
    evidence = Evidence(prompts=prompts, responses=responses, scores=tuple(scores), labels=tuple(labels))
    policy = {"quality": {"metrics": {"polite": {"tier": tier}}, "max_drop": 0.1}}
    return evaluate(evidence, make_plan(prompts, known, policy, 1))


def signal(verdict: Verdict, name: str = "quality/all/polite") -> Signal:
    """One signal."""
    return next(found for found in verdict.signals if found.name == name)


SAME = np.tile([1.0, 1.0, 1.0, 0.0], N // 4)


def sample(values: Any, every: int = 4) -> Any:
    """People's word on every few pairs, in both arms: what the judge said, as it happens."""
    asked = np.arange(N) % every == 0
    return np.where(asked, np.asarray(values, dtype=float), np.nan)


@pytest.mark.parametrize(
    ("known", "words"),
    [
        (None, "never compared with people"),
        (calibration(judge="e" * 64), "calibrated as another one, since its model, rubric or words changed"),
        (calibration((50, 50, 50, 50)), "its judge is unfit: it passes 50% of 100 answers that people pass"),
        (calibration((100, 0, 0, 0)), "people said yes to all 100 labelled answers"),
        (calibration((0, 0, 4, 96)), "people said no to all 100 labelled answers"),
        (calibration((5, 0, 0, 5)), ""),
    ],
)
def test_a_judge_that_has_not_earned_its_vote_is_missing_evidence(known: Any, words: str) -> None:
    """Equal arms hold where the metric blocks, and the reason says which command helps; shown, it only warns."""
    blocking, shown = (judged(known, SAME, SAME, tier=tier) for tier in ("blocking", "advisory"))
    found = signal(blocking)

    if not words:
        assert found.status is Status.PASS
        return
    assert (blocking.verdict, found.status) == ("hold", Status.INCONCLUSIVE)
    assert words in found.reason
    assert "canary calibrate judge" in found.reason
    assert any(words in warning for warning in signal(shown).warnings)
    assert "evidence is missing" not in signal(shown).reason


def test_a_calibration_whose_verdict_was_edited_is_not_believed() -> None:
    """The counts decide, not the word beside them."""
    known = calibration((50, 50, 50, 50))
    forged = known.model_copy(
        update={"fit": True, "strata": tuple(part.model_copy(update={"fit": True}) for part in known.strata)}
    )

    assert judged(forged, SAME, SAME).verdict == "hold"


def test_the_margin_is_the_judge_s() -> None:
    """On the judge's word alone the margin shrinks to its low end of Se + Sp - 1, and the report says so."""
    known = calibration()
    low = known.strata[0].informedness.low
    found = signal(judged(known, SAME, SAME))

    assert found.status is Status.PASS
    assert found.margin == pytest.approx(0.1 * low, abs=1e-6)
    assert 0.6 < low < 0.8
    assert any(f"the margin is {low:.2f} of the policy's" in note for note in found.warnings)
    assert any("81.2% of the baseline's answers pass and 81.2% of the candidate's" in note for note in found.warnings)


def test_a_judge_is_believed_only_on_strata_it_was_measured_on() -> None:
    """Unfit on one, unmeasured on another: each says which; the fit one passes."""
    strata = [name for name in ("a", "b", "c") for _ in range(N // 3)]
    known = calibration((45, 5, 5, 45), a=(45, 5, 5, 45), b=(30, 20, 25, 25))
    verdict = judged(known, SAME, SAME, strata=strata)

    assert signal(verdict, "quality/a/polite").status is Status.PASS
    assert "its judge is unfit" in signal(verdict, "quality/b/polite").reason
    assert "on stratum 'c' its judge was never compared" in signal(verdict, "quality/c/polite").reason
    assert verdict.verdict == "hold"


def test_people_correct_a_judge_that_flatters_the_candidate() -> None:
    """The judge sees no change; the people who read a quarter of the pairs see a loss, and that is what counts."""
    rng = np.random.default_rng(0)
    truth = np.where(rng.random(N) < 0.3, 0.0, SAME)
    human = np.where(np.arange(N) % 4 == rng.integers(4), np.stack([SAME, truth]), np.nan)
    verdict = judged(calibration(), SAME, SAME, human=human)
    found = signal(verdict)

    assert found.status is Status.FAIL, found.reason
    assert found.margin == pytest.approx(0.1)
    assert found.candidate is not None
    assert found.baseline is not None
    assert found.candidate < found.baseline - 0.1
    assert any("corrected by people: on the 60 pairs they labelled" in note for note in found.warnings)
    assert "people labelled 60 of 240 pairs" in found.method


def test_people_who_agree_let_the_judge_speak_for_the_rest() -> None:
    """Where labels confirm the judge the policy's own margin holds, not the shrunk one."""
    rng = np.random.default_rng(1)
    human = np.where(rng.random(N) < 0.4, np.stack([SAME, SAME]), np.nan)
    found = signal(judged(calibration(), SAME, SAME, human=human))

    assert found.status is Status.PASS, found.reason
    assert found.margin == pytest.approx(0.1)
    assert found.estimate == pytest.approx(0)


def test_labels_of_one_arm_are_missing_evidence() -> None:
    """People must have read both."""
    verdict = judged(
        calibration(), SAME, SAME, human=sample([SAME, SAME], 2), drop=[(i, Arm.BASELINE) for i in range(N)]
    )

    assert verdict.verdict == "hold"
    assert "people labelled 120 of 240 cases in part: they need both arms" in signal(verdict).reason


@pytest.mark.parametrize(("asked", "least"), [(29, 30), (0, None)])
def test_too_few_labels_are_missing_evidence(asked: int, least: int | None) -> None:
    """Thirty pairs over all strata are the least; none at all leaves the judge alone."""
    rng = np.random.default_rng(2)
    picked = np.isin(np.arange(N), rng.permutation(N)[:asked])
    found = signal(judged(calibration(), SAME, SAME, human=np.where(picked, np.stack([SAME, SAME]), np.nan)))

    if least is None:
        assert found.status is Status.PASS
    else:
        assert f"people labelled {asked} of 240 pairs; {least} are the least" in found.reason


def test_labels_of_picked_pairs_are_no_sample() -> None:
    """Who reads only the pairs that a judge finds worse, or one stratum alone, has drawn nothing at random."""
    worse = np.where(np.arange(N) % 6 == 0, 0.0, SAME)
    picked = (worse < SAME) | (np.arange(N) % 20 == 1)
    found = signal(judged(calibration(), SAME, worse, human=np.where(picked, np.stack([SAME, worse]), np.nan)))
    assert "no random sample: those where the judge sees the candidate worse are 40 of" in found.reason

    strata = ["a"] * (N // 2) + ["b"] * (N // 2)
    both = (45, 5, 5, 45)
    human = np.where(np.arange(N) < 60, np.stack([SAME, SAME]), np.nan)
    one = judged(calibration(both, a=both, b=both), SAME, SAME, human=human, strata=strata)
    assert "people labelled no pair of a stratum that counts" in signal(one).reason
    assert "people labelled 0 of 120 pairs; 10 are the least" in signal(one, "quality/b/polite").reason


def test_grades_need_labels_of_this_run() -> None:
    """A margin on a scale of 0 to 1 is not that of yes and no; with labels the grades are only a help."""
    rng = np.random.default_rng(3)
    grades = np.clip(SAME * 0.6 + 0.1, 0, 1)
    alone = judged(calibration(), grades, grades, scale=Scale.BOUNDED)
    human = np.where(rng.random(N) < 0.5, np.stack([SAME, SAME]), np.nan)
    beside = judged(calibration(), grades, grades, scale=Scale.BOUNDED, human=human)

    assert "grades count only beside people's labels" in signal(alone).reason
    assert signal(beside).status is Status.PASS
    assert "75.1% -> 75.1%" in signal(beside).reason


def test_a_floor_is_raised_by_what_the_judge_may_let_through() -> None:
    """A judge that passes three bad answers in ten must see more passes than the floor asks for."""
    fitness = calibration((100, 0, 30, 70))
    values = np.concatenate([np.ones(int(0.86 * N)), np.zeros(N - int(0.86 * N))])
    rng = np.random.default_rng(0)
    rng.shuffle(values)
    plan = make_plan((), None, {"quality": {"metrics": {"polite": {"min_score": 0.8}}}}, 1)
    plan = plan.model_copy(update={"judges": {"polite": JudgePlan(digest=DIGEST, cases=N, calibration=fitness)}})
    comparison = Comparison(
        name="floor/all/polite", kind="floor", stratum="all", metric="polite", scale=Scale.PASS_FAIL,
        baseline=np.empty(0), candidate=values, clusters=np.arange(N), strata=np.zeros(N, dtype=np.int64),
        weights=(1.0,), recorded=False, missing=(),
    )  # fmt: skip
    strict, plain = (measure([comparison], each)[0] for each in (plan, plan.model_copy(update={"judges": {}})))

    assert plain.baseline == pytest.approx(0.8)
    assert plain.status is Status.PASS
    assert strict.baseline is not None
    assert strict.baseline > 0.8
    assert strict.status is not Status.PASS


def comparison_of(judge: Any, human: Any = None) -> Comparison:
    """One judged comparison from arrays (2, pairs)."""
    n = judge.shape[1]
    return Comparison(
        name="quality/all/polite", kind="quality", stratum="all", metric="polite", scale=Scale.PASS_FAIL,
        baseline=judge[0], candidate=judge[1], clusters=np.arange(n), strata=np.zeros(n, dtype=np.int64),
        weights=(1.0,), recorded=False, missing=(), human=human,
    )  # fmt: skip


RUNS, FEW = 2_000, 200
SLACK = 3 * np.sqrt(0.05 * 0.95 / RUNS)


def _worlds(rng: np.random.Generator, n: int) -> Any:
    """Pairs at the margin: truly 10 points worse, 12 % lost and 2 % won."""
    kinds = rng.choice(4, n, p=[0.12, 0.02, 0.7, 0.16])
    return np.stack([np.isin(kinds, (0, 2)), np.isin(kinds, (1, 2))]).astype(float)


@pytest.mark.slow
def test_labels_keep_the_promise_where_the_judge_alone_breaks_it() -> None:
    """A judge that flatters the candidate, at the margin, 2,000 runs: promoted at most 5 %, and the truth covered.

    Its interval holds the true difference as often as it says; the judge's own
    does almost never, and promotes nearly always.
    """
    rng, plan = np.random.default_rng(7), make_plan((), calibration(), {"quality": {"max_drop": 0.1}}, 1)
    passed = covered = believed = believed_covers = 0
    for run in range(RUNS):
        truth = _worlds(rng, 500)
        said = np.where(rng.random((2, 500)) < [[0.9], [0.97]], truth, 1 - truth)
        said[1] = np.maximum(said[1], rng.random(500) < 0.5)  # half of the candidate's bad answers please it
        human = np.where(rng.random(500) < 0.3, truth, np.nan)
        found = measure([comparison_of(said, human)], plan)[0]
        passed += found.status is Status.PASS
        covered += _covers(found)
        if run < FEW:
            alone = measure([comparison_of(said)], plan)[0]
            believed += (alone.low or -1.0) > -0.1
            believed_covers += _covers(alone)

    assert passed / RUNS <= 0.05 + SLACK
    assert 0.9 - 3 * np.sqrt(0.09 / RUNS) <= covered / RUNS <= 0.96
    assert believed / FEW > 0.9
    assert believed_covers / FEW < 0.1


def _covers(found: Signal) -> bool:
    return found.low is not None and found.high is not None and found.low <= -0.1 <= found.high


@pytest.mark.slow
def test_a_shrunk_margin_keeps_the_promise_where_errors_are_alike() -> None:
    """A judge that errs as often in both arms, calibrated anew in each of 2,000 runs: promoted at most 5 %."""
    rng = np.random.default_rng(8)
    passed = unshrunk = 0
    for _ in range(RUNS):
        hits, rejects = rng.binomial(150, [0.9, 0.85])
        plan = make_plan((), calibration((hits, 150 - hits, 150 - rejects, rejects)), {"quality": {"max_drop": 0.1}}, 1)
        truth = _worlds(rng, 500)
        said = np.where(rng.random((2, 500)) < np.where(truth == 1, 0.9, 0.85), truth, 1 - truth)
        found = measure([comparison_of(said)], plan)[0]
        passed += found.status is Status.PASS
        unshrunk += (found.low or -1.0) > -0.1

    assert passed / RUNS <= 0.05 + SLACK
    assert unshrunk / RUNS > 0.1


def test_tier_is_the_policy_s() -> None:
    """A judged metric that no policy names is shown."""
    plan = make_plan((), None, {}, 1)
    assert measure([comparison_of(np.ones((2, 50)))], plan)[0].tier is Tier.ADVISORY
