"""The table of docs/policy.md, "Saturation", row by row, and what must not change beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from canary.evaluate import evaluate
from canary.plan import ReleasePlan
from canary.policy import Policy, SaturationRule
from canary.records import (
    Arm,
    Decision,
    Evidence,
    Observation,
    Response,
    Scale,
    Signal,
    Status,
    Tier,
    Verdict,
)
from canary.signals.saturation import judge_level
from tests.signals.conftest import make_plan, make_prompts, make_scores

RULE = SaturationRule(warning=0.7, critical=0.9)
CASES = 200


def watched(levels: Mapping[Arm, Mapping[str, float]], count: int = 12) -> tuple[Observation, ...]:
    """So many equal samples of each arm."""
    return tuple(
        Observation(arm=arm, replica=0, at=float(at), values=dict(values))
        for at in range(count)
        for arm, values in levels.items()
    )


def evidence(observations: tuple[Observation, ...], lost: int = 0) -> Evidence:
    """A candidate that answers as the baseline does, but for the first few."""
    prompts = make_prompts(["s"] * CASES, None)
    right = np.ones(CASES)
    wrong = np.where(np.arange(CASES) < lost, 0.0, 1.0)
    return Evidence(
        prompts=prompts,
        responses=tuple(Response(id=prompt.id, arm=arm, output="") for prompt in prompts for arm in Arm),
        scores=(
            *make_scores(prompts, Arm.BASELINE, right, Scale.PASS_FAIL),
            *make_scores(prompts, Arm.CANDIDATE, wrong, Scale.PASS_FAIL),
        ),
        observations=observations,
    )


def verdict(observations: tuple[Observation, ...], lost: int = 0, **plan: Any) -> Verdict:
    """What the gate says."""
    given = evidence(observations, lost)
    return evaluate(given, make_plan(given.prompts, plan.pop("policy", {}), 1, **plan))


def named(found: Verdict, name: str) -> Signal | None:
    """One signal, where it is there."""
    return next((signal for signal in found.signals if signal.name == name), None)


@pytest.mark.parametrize(
    ("baseline", "candidate", "status", "words"),
    [
        (0.10, 0.69, Status.PASS, "below 70%"),
        (0.95, 0.69, Status.PASS, "below 70%"),
        (0.10, 0.70, Status.PASS, "little is left"),
        (0.10, 0.89, Status.PASS, "little is left"),
        (0.95, 0.80, Status.PASS, "little is left"),
        (0.69, 0.90, Status.FAIL, "at or above 90%, and the baseline below 70%"),
        (0.70, 0.90, Status.INCONCLUSIVE, "the baseline was at or above 70% already"),
        (0.89, 1.00, Status.INCONCLUSIVE, "the baseline was at or above 70% already"),
        (0.90, 0.90, Status.PASS, "the bench itself is saturated"),
    ],
)
def test_levels(baseline: float, candidate: float, status: Status, words: str) -> None:
    """Each row, at its edges; what passes though it is full is warned of."""
    found, reason, warnings = judge_level(baseline, candidate, RULE)

    assert (found, words in reason) == (status, True)
    assert bool(warnings) == (status is Status.PASS and candidate >= RULE.warning)


@pytest.mark.parametrize("level", np.linspace(0, 1, 101))
def test_an_unchanged_candidate_never_fails(level: float) -> None:
    """Whatever the bench is like: it may at most be held."""
    assert judge_level(level, level, RULE)[0] is not Status.FAIL


def test_a_candidate_that_fills_its_server() -> None:
    """It is rolled back by name, from the 95th percentile; one sample of twenty is too few for that."""
    full = watched({Arm.BASELINE: {"kv_cache": 0.2}, Arm.CANDIDATE: {"kv_cache": 0.97}})
    found = verdict(full)
    signal = named(found, "saturation/kv_cache")

    assert (found.verdict, found.reason.partition(":")[0]) == (Decision.ROLLBACK, "saturation/kv_cache")
    assert signal is not None
    assert (signal.tier, signal.baseline, signal.candidate, signal.n) == (Tier.BLOCKING, 0.2, 0.97, 12)
    assert (signal.p_harm, signal.p_harm_adjusted, signal.p_noninferior) == (None, None, None)

    calm = watched({Arm.BASELINE: {"kv_cache": 0.2}, Arm.CANDIDATE: {"kv_cache": 0.2}}, 60)
    spike = tuple(replace(one, values={"kv_cache": 1.0}) if one.at == 30 else one for one in calm)
    assert verdict(spike).verdict is Decision.PROMOTE


def test_other_signals_do_not_notice() -> None:
    """The family of tests is what it was: every other signal is the same to the last digit."""
    bad = {"kv_cache": 0.97, "cpu": 0.99, "waiting": 3.0, "preemptions": 2.0, "prompt_tokens": 1.0}
    seen = watched({Arm.BASELINE: dict.fromkeys(bad, 0.1), Arm.CANDIDATE: bad})
    with_, without = verdict(seen, lost=9), verdict((), lost=9)

    assert with_.signals[: len(without.signals)] == without.signals
    assert with_.verdict is Decision.ROLLBACK
    assert "observations" not in without.record


def test_a_failing_test_is_named_before_a_full_server() -> None:
    """What was lost says more than what was used."""
    full = watched({Arm.BASELINE: {"cpu": 0.2}, Arm.CANDIDATE: {"cpu": 0.97}})

    assert verdict(full, lost=60).reason.startswith("quality/")


@pytest.mark.parametrize(
    ("counts", "status"),
    [
        ((9, 9), None),  # too short a run
        ((12, 9), None),  # the other stopped just short
        ((40, 15), Status.INCONCLUSIVE),  # one of them fell silent
        ((12, 0), Status.INCONCLUSIVE),
        ((0, 12), Status.INCONCLUSIVE),
        ((0, 0), None),
    ],
)
def test_samples_that_are_not_there(counts: tuple[int, int], status: Status | None) -> None:
    """A short run shows nothing; an arm that says much less than the other is missing evidence."""
    seen = tuple(
        Observation(arm=arm, replica=0, at=float(at), values={"cpu": 0.1} if at < count else {})
        for arm, count in zip(Arm, counts, strict=True)
        for at in range(40)
    )
    signal = named(verdict(seen), "saturation/cpu")

    assert (None if signal is None else signal.status) == status
    assert signal is None or signal.reason.startswith("evidence is missing: ")


def quiet(arms: set[Arm], count: int, *, anew: bool = False) -> tuple[Observation, ...]:
    """A minute of calm samples, in the middle of which some arms are silent; they may come up anew after that."""
    calm = watched({arm: {"kv_cache": 0.2} for arm in Arm}, 60)
    seen = [replace(one, values={}) if one.arm in arms and 20 <= one.at < 20 + count else one for one in calm]
    last = 20 + count - 1
    return tuple(
        replace(one, values={"started_s": 9.0}) if anew and one.at == last and one.arm in arms else one for one in seen
    )


def test_who_is_full_may_not_answer() -> None:
    """A candidate that was silent a third of the time may have been full just then, whatever it said between."""
    found = verdict(quiet({Arm.CANDIDATE}, 20))
    signal = named(found, "saturation/kv_cache")

    assert found.verdict is Decision.HOLD
    assert signal is not None
    assert signal.reason == (
        "evidence is missing: 40 samples of the candidate's servers, which were silent 20 times between them, the "
        "baseline's 0: who is full may not answer"
    )


@pytest.mark.parametrize(
    "seen",
    [
        quiet({Arm.CANDIDATE}, 3),
        quiet(set(Arm), 20),
        quiet({Arm.BASELINE}, 20),
        quiet({Arm.CANDIDATE}, 20, anew=True),
    ],
    ids=["chance", "both", "baseline", "came up anew"],
)
def test_silence_that_says_nothing_of_the_candidate(seen: tuple[Observation, ...]) -> None:
    """A few times are chance, both arms' silence is the bench's, and a server that comes up has nothing to say."""
    assert verdict(seen).verdict is Decision.PROMOTE


def test_one_arm_alone() -> None:
    """Where only one arm has a server that says how it is, there is nothing to compare."""
    assert verdict(watched({Arm.CANDIDATE: {"cpu": 0.99}})).verdict is Decision.PROMOTE


@pytest.mark.parametrize("arm", Arm)
def test_servers_of_one_arm_that_nobody_saw(arm: Arm) -> None:
    """Both arms have servers, and what was written down is of one: missing evidence, whichever it is."""
    given = evidence(watched({arm: {"kv_cache": 0.99}}))
    plan = make_plan(given.prompts, {}, 1)
    plan = plan.model_copy(
        update={
            side: getattr(plan, side).model_copy(update={"release": {"engine": "vllm"}})
            for side in ("baseline", "candidate")
        }
    )
    found = evaluate(given, plan)
    signal = named(found, "saturation/kv_cache")

    assert found.verdict is Decision.HOLD
    assert signal is not None
    assert signal.reason == f"evidence is missing: 12 samples of the {arm}'s servers, none of the other arm's"


@pytest.mark.parametrize(("count", "decision"), [(0, Decision.HOLD), (3, Decision.PROMOTE), (12, Decision.PROMOTE)])
def test_servers_that_said_nothing(count: int, decision: Decision) -> None:
    """A level that the policy names and that neither arm ever said is missing evidence; a short run has a few."""
    policy = {"saturation": {"cpu": {"critical": 0.95}}}
    found = verdict(
        watched({Arm.BASELINE: {"cpu": 0.1}, Arm.CANDIDATE: {"cpu": 0.1}}, count), policy=policy, **served(policy)
    )
    signal = named(found, "saturation/cpu")

    assert found.verdict is decision
    assert count or (signal is not None and "neither arm's servers said it at all" in signal.reason)


def served(policy: Mapping[str, Any]) -> dict[str, Any]:
    """A plan whose arms have a server each, and what its policy then requires."""
    arms = {arm.value: ReleasePlan(name=arm, digest="1" * 64, release={"engine": "vllm"}) for arm in Arm}
    return {**arms, "required": Policy.model_validate(policy).required(levels=True)}


@pytest.mark.parametrize(("baseline", "candidate"), [(0.5, -1.0), (1.5, 0.95), (0.5, 1.5)])
def test_levels_that_no_server_can_have(baseline: float, candidate: float) -> None:
    """They are not evidence, whichever arm said them: neither an empty candidate nor a bench that was full already."""
    seen = watched({Arm.BASELINE: {"cpu": baseline}, Arm.CANDIDATE: {"cpu": candidate}})
    found = verdict(seen)
    signal = named(found, "saturation/cpu")

    assert found.verdict is Decision.HOLD
    assert signal is not None
    assert signal.reason.startswith("evidence is missing: ")


def test_one_engine_for_both_arms() -> None:
    """Its levels are neither arm's: nothing is said of them, unless the policy names one, which then holds."""
    full = tuple(Observation(arm=None, replica=0, at=float(at), values={"cpu": 0.99}) for at in range(20))
    policy = {"saturation": {"cpu": {"critical": 0.95}}}
    unnamed, named_ = verdict(full), verdict(full, policy=policy, required=("saturation/cpu",), shared_engine=True)
    signal = named(named_, "saturation/cpu")

    assert (unnamed.verdict, named_.verdict) == (Decision.PROMOTE, Decision.HOLD)
    assert not [one for one in unnamed.signals if one.kind in {"saturation", "throughput"}]
    assert signal is not None
    assert (signal.status, signal.tier, signal.n) == (Status.INCONCLUSIVE, Tier.BLOCKING, 0)
    assert signal.reason.startswith("evidence is missing: one engine served both arms")


@pytest.mark.parametrize("told", [True, False])
def test_arms_that_were_asked_one_after_the_other(*, told: bool) -> None:
    """Their levels are of different moments: missing evidence, whether the plan says so or only the clock."""
    levels = {"cpu": 0.5, "waiting": 3.0, "prompt_tokens": 1.0}
    seen = tuple(
        replace(one, at=one.at + 100 * (one.arm is Arm.CANDIDATE))
        for one in watched({Arm.BASELINE: levels, Arm.CANDIDATE: levels})
    )
    found = verdict(seen, sequential=told)
    shown = verdict(seen, sequential=told, policy={"saturation": {"cpu": {"tier": "advisory"}}})

    assert (found.verdict, shown.verdict) == (Decision.HOLD, Decision.PROMOTE)
    assert found.reason.endswith("let the policy only show it: 'saturation: {cpu: {tier: advisory}}'")
    assert [one.name for one in found.signals if one.kind in {"saturation", "throughput"}] == ["saturation/cpu"]


def test_shown_only() -> None:
    """Queue, preemptions and tokens a second never decide, whatever they are."""
    names = ("waiting", "preemptions", "prompt_tokens", "generation_tokens")
    seen = tuple(
        Observation(arm=arm, replica=0, at=float(at), values=dict.fromkeys(names, at * times))
        for at in range(20)
        for arm, times in zip(Arm, (1.0, 10.0), strict=True)
    )
    found = verdict(seen)
    shown = {
        s.name: (s.baseline, s.candidate, s.estimate) for s in found.signals if s.kind in {"saturation", "throughput"}
    }

    assert found.verdict is Decision.PROMOTE
    assert shown == {
        "saturation/queue": (pytest.approx(18.05), pytest.approx(180.5), pytest.approx(162.45)),
        "saturation/preemptions": (95.0, 950.0, 855.0),
        "throughput/prefill": (1.0, 10.0, 10.0),
        "throughput/decode": (1.0, 10.0, 10.0),
    }


def test_the_policy_may_only_show_it() -> None:
    """Like every other signal."""
    full = watched({Arm.BASELINE: {"memory": 0.2}, Arm.CANDIDATE: {"memory": 0.97}})

    found = verdict(
        full, policy={"saturation": {"memory": {"tier": "advisory"}}, "runbooks": {"saturation/*": "add nodes"}}
    )
    signal = named(found, "saturation/memory")

    assert found.verdict is Decision.PROMOTE
    assert signal is not None
    assert (signal.status, signal.runbook) == (Status.FAIL, "add nodes")


def test_a_run_still_stops_early() -> None:
    """Harm that is certain ends it though servers were observed; a full server is no harm that a look could see."""
    full = watched({Arm.BASELINE: {"cpu": 0.2}, Arm.CANDIDATE: {"cpu": 0.97}})
    harmed, safe = (verdict(full, lost=lost, early_stopping=True) for lost in (CASES, 0))

    assert harmed.looks is not None
    assert harmed.looks.stopped_at is not None
    assert harmed.looks.stopped_at < CASES
    assert (harmed.verdict, harmed.reason.partition("/")[0]) == (Decision.ROLLBACK, "quality")
    assert (safe.verdict, safe.reason.partition(":")[0]) == (Decision.ROLLBACK, "saturation/cpu")


def test_bounds_in_their_order() -> None:
    """A warning after the alarm is a mistake of the policy."""
    with pytest.raises(ValueError, match=r"'warning' must be below 'critical' \(got 0.9 and 0.8\)"):
        SaturationRule(warning=0.9, critical=0.8)
