"""What `canary plan` says, and its words."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

from canary.assertions.binding import BUILD
from canary.plan import Plan
from canary.policy import Alpha
from canary.stats.power import POWER, OperatingCharacteristics, pairs_needed, smallest_detectable_drop, tango_power

AT_MOST = "can roll back, but hardly promote"
"""What may become of a run whose plan lacks something: harm can be proven by less than its absence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What one stratum, or the pool, can show; what takes long is computed where it is asked for."""

    stratum: str
    cases: int
    margin: float
    discordance: float
    least: int
    """Fewer cases than this can never pass."""
    alpha: Alpha
    """Levels of its tests."""
    power: float
    """With which each stratum must pass for all of them to do so with 80 %."""

    @property
    def detectable(self) -> float:
        """Smallest drop found with 80 % power; infinite where none is."""
        return smallest_detectable_drop(self.cases, self.discordance, self.alpha.rollback, POWER)

    @property
    def passes(self) -> float:
        """P(an unchanged candidate is shown to be inside the margin)."""
        return tango_power(self.cases, self.discordance, 0.0, self.margin, self.alpha.promote)

    @property
    def wanted(self) -> int | None:
        """Cases for a pass with 80 % power, all strata together; None is more than a hundred thousand."""
        try:
            return pairs_needed(self.discordance, self.margin, self.alpha.promote, self.power)
        except ValueError:
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Foresight:
    """Everything `canary plan` says."""

    plan: Plan
    outlooks: tuple[Outlook, ...]
    promote: OperatingCharacteristics
    """How often an unchanged candidate is promoted, on quality alone."""
    source: str
    """Where the discordance comes from."""
    lacking: tuple[str, ...]
    """Why this plan will not reach its own margins and floors; empty if it can."""
    spending: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    """What could not be checked here."""

    @property
    def can_pass(self) -> bool:
        """Whether any candidate could be promoted under this plan."""
        return not self.lacking


def render_foresight(foresight: Foresight) -> str:
    """The plan as a table, what it costs, and what it lacks; no sentence is broken."""
    plan = foresight.plan
    lines = [
        f"{plan.baseline.name} -> {plan.candidate.name}, stage {plan.stage}",
        *(_alone(plan) if plan.stage == BUILD else _compared(foresight)),
        *foresight.spending,
        *(f"warning: {warning}" for warning in (*plan.warnings, *foresight.warnings)),
        *(f"lacking: {line}" for line in foresight.lacking),
    ]
    if foresight.lacking:
        lines.append(f"such a plan is refused, unless --allow-underpowered lets it through; a run of it {AT_MOST}")
    return "\n".join(lines)


def _alone(plan: Plan) -> list[str]:
    """What a candidate must reach that is compared with nothing."""
    rules, cases = plan.policy.quality.metrics, sum(stratum.cases for stratum in plan.strata)
    floors = [f"{name} {rule.min_score:g}" for name, rule in rules.items() if rule.min_score is not None]
    return [f"{cases} cases, of the candidate alone, against its floors: {', '.join(floors)}"]


def _compared(foresight: Foresight) -> list[str]:
    return [
        _table(foresight.outlooks),
        f"discordance {foresight.source}",
        f"an unchanged candidate is promoted with probability {foresight.promote.promote:.2f} (quality alone)",
    ]


def _table(outlooks: Sequence[Outlook]) -> str:
    from rich import box  # noqa: PLC0415 - only to print
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=box.SIMPLE_HEAD)
    for heading in (
        "stratum",
        "cases",
        "margin",
        "discordance",
        "drop seen at 80 %",
        "unchanged passes",
        "cases wanted",
    ):
        table.add_column(heading, justify="left" if heading == "stratum" else "right", overflow="fold")
    for outlook in outlooks:
        table.add_row(*_cells(outlook))
    out = io.StringIO()
    Console(file=out, width=110, force_terminal=False, markup=False, highlight=False, emoji=False).print(table)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def _cells(outlook: Outlook) -> tuple[str, ...]:
    seen = f"{100 * outlook.detectable:.1f} points" if outlook.detectable < 1 else "none"
    return (
        outlook.stratum,
        str(outlook.cases),
        f"{100 * outlook.margin:g} points",
        f"{100 * outlook.discordance:.1f}%",
        seen,
        f"{outlook.passes:.2f}",
        "> 100000" if outlook.wanted is None else str(outlook.wanted),
    )
