"""All cells as one table, and whether our two error rates are what they should be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.decisions.cell import BETTER, HARM, UNCHANGED, Cell
from benchmarks.decisions.counts import HOLD, PROMOTE, ROLLBACK, Ints
from benchmarks.decisions.rules import RULES

NOMINAL = 0.05
OURS = "this gate"
ABSENT = "–"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Shares of runs; they sum to 1."""

    promote: float
    hold: float
    rollback: float

    @classmethod
    def of(cls, verdicts: Ints) -> Rates:
        """Of verdicts (R,)."""
        promote, hold, rollback = (float(np.mean(verdicts == v)) for v in (PROMOTE, HOLD, ROLLBACK))
        return cls(promote=promote, hold=hold, rollback=rollback)

    def __str__(self) -> str:
        """`97/2/1`, in percent; a share that is not nothing is at least `<1`."""
        return "/".join(_percent(share) for share in (self.promote, self.hold, self.rollback))


def _percent(share: float) -> str:
    return "<1" if 0 < share < 0.005 else f"{100 * share:.0f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One cell with what every rule made of it."""

    evidence: str
    truth: str
    kind: str
    pairs: str
    discordance: float | None
    """None for latency."""
    runs: int
    rates: Mapping[str, Rates]
    """By the rule's name; a rule that does not apply is left out."""

    def wrong(self, rule: str) -> float:
        """The share of wrong answers: harm promoted, or no harm rolled back."""
        rates = self.rates[rule]
        return {HARM: rates.promote, UNCHANGED: rates.rollback, BETTER: rates.rollback}.get(self.kind, 0.0)

    @property
    def limit(self) -> float:
        """Nominal and three Monte-Carlo standard errors."""
        return NOMINAL + 3 * float(np.sqrt(NOMINAL * (1 - NOMINAL) / self.runs))


def judge(cell: Cell) -> Row:
    """Every rule on one cell."""
    return Row(
        evidence=cell.evidence,
        truth=cell.truth,
        kind=cell.kind,
        pairs=cell.pairs,
        discordance=cell.discordance,
        runs=len(cell.counts.n),
        rates={name: Rates.of(rule(cell.counts)) for name, rule in RULES.items()},
    )


def broken_promises(rows: Sequence[Row]) -> list[str]:
    """Cells in which ours errs more often than nominal and three standard errors."""
    return [
        f"{row.evidence}, {row.truth}, {row.pairs} pairs: {row.wrong(OURS):.3f} > {row.limit:.3f}"
        for row in rows
        if row.runs > 1 and row.wrong(OURS) > row.limit
    ]


def render(rows: Sequence[Row]) -> str:
    """The table in Markdown: first what it comes to, then every cell."""
    header = ("evidence", "what is true", "pairs", "discordant", "runs", *RULES)
    lines = [header, tuple("---" for _ in range(2)) + tuple("--:" for _ in header[2:]), *_summary(rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in (*lines, *(_line(row) for row in rows)))


def _line(row: Row) -> tuple[str, ...]:
    discordance = ABSENT if row.discordance is None else f"{row.discordance:.2f}"
    cells = (_shown(row, rule) if rule in row.rates else ABSENT for rule in RULES)
    truth = row.truth if row.kind == UNCHANGED else f"{row.truth}: {row.kind}"
    return (row.evidence, truth, row.pairs, discordance, f"{row.runs:,}", *cells)


def _shown(row: Row, rule: str) -> str:
    """Bold where the wrong answer is more frequent than the nominal rate explains."""
    text = str(row.rates[rule])
    return f"**{text}**" if row.runs > 1 and row.wrong(rule) > row.limit else text


def _summary(rows: Sequence[Row]) -> Iterator[tuple[str, ...]]:
    """Worst and mean rates over all cells that have many runs and all rules."""
    many = [row for row in rows if row.runs > 1 and set(row.rates) == set(RULES)]
    harmless = [row for row in many if row.kind in {UNCHANGED, BETTER}]
    harmful = [row for row in many if row.kind == HARM]
    unchanged = [row for row in many if row.kind == UNCHANGED]
    for name, chosen, share in (
        ("false rollback, worst cell", harmless, "worst rollback"),
        ("false promote, worst cell", harmful, "worst promote"),
        ("detection of harm, mean", harmful, "rollback"),
        ("unchanged promoted, mean", unchanged, "promote"),
        ("hold, mean of all cells", many, "hold"),
    ):
        if not chosen:
            continue
        field = share.removeprefix("worst ")
        values = {rule: [getattr(row.rates[rule], field) for row in chosen] for rule in RULES}
        reduce = max if share.startswith("worst") else np.mean
        cells = (f"{100 * float(reduce(of_rule)):.1f} %" for of_rule in values.values())
        yield f"**{name}**", f"{len(chosen)} cells", "", "", "", *cells
