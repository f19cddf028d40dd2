"""The verdict as one HTML file that opens from disk and asks for nothing else.

Everything a reader decides by is in the page itself, drawn when it is written;
only the cases, which may be thousands, are data that a script shows a page at
a time. The file holds no clock: the same evidence gives the same bytes.
"""

from __future__ import annotations

from canary.plan import Plan
from canary.records import Arm, Decision, Evidence, Status, Verdict
from canary.reporters.flips import find_flips
from canary.reporters.html.cases import browse
from canary.reporters.html.distribution import distributions
from canary.reporters.html.forest import forest
from canary.reporters.html.identity import different_settings, record_lines
from canary.reporters.html.page import page
from canary.reporters.html.resampled import resampled
from canary.reporters.margins import policy_lines
from canary.reporters.quantity import units_of
from canary.reporters.ranking import alike, blocking, lost_strata
from canary.reporters.sheet import asked_of, interval_name, mark, promises, saving, tabulate

__all__ = ["render"]


def render(verdict: Verdict, evidence: Evidence, plan: Plan) -> str:
    """The whole report, under 15 MB whatever the evidence holds."""
    sheet = tabulate(verdict, evidence, plan)
    flips = find_flips(verdict, evidence)
    held = verdict.verdict is not Decision.PROMOTE
    return page(
        "report.html",
        verdict=verdict,
        plan=plan,
        sheet=sheet,
        mark=mark,
        counts=[(status, len(blocking(verdict, status))) for status in sorted(Status, reverse=True)],
        failing=alike(blocking(verdict, Status.FAIL)),
        lacking=alike(blocking(verdict, Status.INCONCLUSIVE)) if held else (),
        lost=lost_strata(verdict),
        offer=policy_lines(verdict, plan.policy) if verdict.verdict is Decision.HOLD else "",
        forest=forest(sheet, units_of(verdict, evidence, plan)),
        interval_name=interval_name(verdict),
        resampled=resampled(verdict, evidence, plan),
        distributions=distributions(evidence),
        asked=asked_of(evidence, plan) if plan.load else (),
        cases=browse(evidence, plan, first=flips.lost, arms=(Arm.BASELINE.value, Arm.CANDIDATE.value)),
        saved=saving(verdict.looks),
        promises=promises(verdict),
        settings=different_settings(plan),
        record=record_lines(verdict.record),
    )
