"""What looking does to the two promises, and what it saves: the looks as shipped, then the final test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import special

from canary.compare.cases import Leads, Question
from canary.looks.watch import Watch
from canary.order import checkpoints
from canary.plan import Plan
from canary.signals.levels import final_levels
from canary.stats.multiplicity import holm
from canary.stats.paired import midp, tango_statistic
from canary.stats.stopping import median_stop
from tests.signals.conftest import make_plan, make_prompts

Floats = NDArray[np.float64]

RUNS = 2_000
ALPHA = 0.05
LIMIT = ALPHA + 3 * np.sqrt(ALPHA * (1 - ALPHA) / RUNS)
SERVER_ONLY = {
    kind: {"tier": "advisory"} for kind in ("truncated", "refusal", "malformed", "content_filter", "context_length")
}


def make_looked_at(strata: int, cases: int, policy: Mapping[str, Any]) -> Plan:
    """A plan with looks over so many strata of so many cases."""
    prompts = make_prompts([f"s{i}" for i in range(strata)] * cases, None)
    return make_plan(prompts, {"errors": SERVER_ONLY, **policy}, 1, early_stopping=True)


def draw(rng: np.random.Generator, strata: int, cases: int, psi: Sequence[float], delta: Sequence[float]) -> Floats:
    """Differences of pass/fail pairs in the order of asking, strata in turn."""
    share, lead = np.array(psi), np.array(delta)
    u = rng.random((cases, strata))
    return np.where(u < (share - lead) / 2, -1.0, np.where(u < share, 1.0, 0.0)).ravel()


def looked(plan: Plan, lead: Floats, errors: Floats) -> str:
    """What the looks say of a run, the first that says anything: `rollback`, `promote` or nothing."""
    watch, strata = Watch(plan), len(plan.strata)
    for end in checkpoints(lead.size):
        now = slice(watch.cases, end)
        number = np.arange(lead.size)[now] % strata
        rows: dict[Question, Leads] = {
            ("quality", "pass"): Leads(strata=number, values=lead[now]),
            ("errors", "server"): Leads(strata=number, values=errors[now]),
        }
        watch.feed(rows, end - watch.cases)
        if watch.harmed():
            return "rollback"
        if watch.safe():
            return "promote"
    return ""


def final(plan: Plan, lead: Floats, errors: Floats) -> str:
    """What the final test says: harm by Holm, all margins by Tango, at the levels that the looks leave."""
    alpha, strata = final_levels(plan), len(plan.strata)
    groups = [*lead.reshape(-1, strata).T, lead, errors]
    lost, won = (np.array([np.sum(sign * group > 0) for group in groups]) for sign in (-1, 1))
    margins = [*[plan.policy.quality.stratum.max_drop] * strata, plan.policy.quality.max_drop, 0.03]
    sizes = [group.size for group in groups]
    inside = special.ndtr(-tango_statistic(lost, won, sizes, -np.array(margins))) < alpha.promote
    can = lost + won > 0
    harmed = np.zeros(len(groups), dtype=bool)
    harmed[can] = holm(midp(lost, won)[can].tolist()) <= alpha.rollback
    return "rollback" if np.any(harmed & ~inside) else "promote" if inside.all() and not harmed.any() else "hold"


def outcomes(plan: Plan, strata: int, cases: int, psi: Sequence[float], delta: Sequence[float]) -> list[str]:
    """Early and final decisions of the runs, `early/final` where it mattered."""
    rng, found = np.random.default_rng(strata), list[str]()
    for _ in range(RUNS):
        lead = draw(rng, strata, cases, psi, delta)
        failed = rng.random((2, lead.size)) < 0.01
        errors = failed[0].astype(float) - failed[1]
        found.append(looked(plan, lead, errors) or final(plan, lead, errors))
    return found


@pytest.mark.slow
def test_an_unchanged_candidate_is_rolled_back_at_most_at_alpha() -> None:
    """Three strata, 10 % discordance, errors, looks and a final test: together at most 5 %."""
    plan = make_looked_at(3, 33, {})

    found = outcomes(plan, 3, 33, [0.1] * 3, [0.0] * 3)

    assert 0 < found.count("rollback") / RUNS <= LIMIT


@pytest.mark.slow
def test_a_stratum_at_its_margin_is_promoted_at_most_at_alpha() -> None:
    """Three strata, one of which loses exactly the 10 points it may, looks that may promote: at most 5 %."""
    plan = make_looked_at(3, 40, {"quality": {"max_drop": 0.3}})

    found = outcomes(plan, 3, 40, [0.15, 0.15, 0.15], [-0.1, 0.05, 0.05])

    assert 0 < found.count("promote") / RUNS <= LIMIT


@pytest.mark.slow
def test_how_soon_a_loss_is_noticed() -> None:
    """Twelve signals: 20 points in a stratum of 150 after 89 of its cases, 40 after 44, 10 not before the end."""
    found = [median_stop(150, 0.05, drop, alpha=0.01 / 12, replicates=RUNS) for drop in (0.05, 0.1, 0.2, 0.4)]

    assert found[:2] == [np.inf, np.inf]
    assert found[2:] == pytest.approx([89, 44], abs=2)


def test_a_loss_is_noticed_no_later_than_the_arithmetic_of_total_loss_says() -> None:
    """Every case lost: capital grows by 3/2 a case once the bet is at its cap, so log(1000)/log(1.5) = 17.04 cases."""
    assert median_stop(60, 0.0, 1.0, alpha=0.001, replicates=3) == 18
