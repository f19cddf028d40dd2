"""That the vectorised rule is the product: the same runs through `canary.evaluate`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks.decisions.counts import HOLD, PROMOTE, ROLLBACK, Counts, Ints
from benchmarks.decisions.rules import POLICY, this_gate
from canary.evaluate import evaluate
from canary.pipeline import Suite
from canary.plan import Plan, ReleasePlan, StratumPlan
from canary.records import Arm, Decision, Evidence, Prompt, Response, Scale, Score

DECISION = {Decision.PROMOTE: PROMOTE, Decision.HOLD: HOLD, Decision.ROLLBACK: ROLLBACK}
UNSTRATIFIED = "default"
OUTCOMES = ((True, False), (False, True), (True, True), (False, False))
"""What the baseline and the candidate scored: lost, won, both, neither."""


def mismatches(counts: Counts) -> Iterator[str]:
    """One sentence for each verdict that the product gives otherwise.

    Takes the first run of every verdict the rule gives: three at most.
    """
    verdicts = this_gate(counts)
    for index in np.unique(verdicts, return_index=True)[1].tolist():
        product = product_verdict(counts.run(index))
        if product != verdicts[index]:
            yield f"run {index}: the product answers {product}, the vectorised rule {verdicts[index]}"


def product_verdict(counts: Counts) -> int:
    """`canary.evaluate` on recorded scores that have these counts, one run of shape (1, K)."""
    evidence, plan = evidence_of(counts)
    return DECISION[evaluate(evidence, plan).verdict]


def evidence_of(counts: Counts) -> tuple[Evidence, Plan]:
    """A golden set, both arms' recorded scores and the plan, as `canary compare` makes them."""
    sizes = counts.n[0]
    names = [UNSTRATIFIED] if sizes.size == 1 else [f"s{k}" for k in range(sizes.size)]
    rows = [
        (f"{name}-{case:05d}", name, passed)
        for k, name in enumerate(names)
        for case, passed in enumerate(_outcomes(counts, k))
    ]
    prompts = tuple(_prompt(id_, stratum) for id_, stratum, _ in rows)
    arms = [(id_, arm, score) for id_, _, passed in rows for arm, score in zip(Arm, passed, strict=True)]
    return (
        Evidence(
            prompts=prompts,
            responses=tuple(
                Response(id=id_, arm=arm, output="", scores={"correct": score}) for id_, arm, score in arms
            ),
            scores=tuple(_score(id_, arm, score=score) for id_, arm, score in arms),
        ),
        plan_of({name: int(size) for name, size in zip(names, sizes, strict=True) if size}),
    )


def _outcomes(counts: Counts, k: int) -> list[tuple[bool, bool]]:
    cells: Ints = np.array([counts.lost[0, k], counts.won[0, k], counts.both[0, k]])
    tally = [*cells.tolist(), int(counts.n[0, k] - cells.sum())]
    return [outcome for outcome, times in zip(OUTCOMES, tally, strict=True) for _ in range(times)]


def _prompt(id_: str, stratum: str) -> Prompt:
    return Prompt(
        id=id_, digest=id_, stratum=stratum, cluster=id_, vars={}, messages=None, expected=None, asserts=()
    )  # fmt: skip


def _score(id_: str, arm: Arm, *, score: bool) -> Score:
    return Score(
        id=id_, arm=arm, repeat=0, metric="correct", scale=Scale.PASS_FAIL, value=float(score), passed=score
    )  # fmt: skip


def plan_of(sizes: dict[str, int]) -> Plan:
    """A plan under the default policy whose strata weigh what they count."""
    total = sum(sizes.values())
    return Plan(
        stage="compare",
        baseline=ReleasePlan(name="baseline", digest="0" * 64, release={}),
        candidate=ReleasePlan(name="candidate", digest="1" * 64, release={}),
        policy=POLICY,
        suite=Suite(golden_sets=("(none)",)),
        strata=tuple(StratumPlan(name=name, cases=size, weight=size / total) for name, size in sizes.items()),
        golden_sha256="2" * 64,
        seed=0,
        versions={},
    )
