"""How often release rules are right: this gate beside four others.

    python benchmarks/decisions.py [--data DIR] [--out DIR]

Simulated releases, real pairs of models and simulated latency; for every cell
the share of runs each rule promotes, holds and rolls back. Writes
`decisions.md` and `decisions.svg`, prints the table, and fails if one of this
gate's two error rates is above nominal by more than three standard errors, or
if the vectorised rule and the product ever disagree. About four minutes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from benchmarks.decisions import latency
from benchmarks.decisions.cell import Cell
from benchmarks.decisions.grid import simulated_cells
from benchmarks.decisions.pairs import real_cells
from benchmarks.decisions.picture import draw
from benchmarks.decisions.product import mismatches, plan_of
from benchmarks.decisions.table import Rates, Row, broken_promises, judge, render

ROOT = Path(__file__).resolve().parent.parent
HEAD = """\
# What release rules decide

Written by `python benchmarks/decisions.py`; the rules, the data and what it means:
[docs/statistics.md](../../docs/statistics.md). A cell is the share of runs that are promoted/held/rolled back, in %.
**Bold**: the wrong answer (harm promoted, no harm rolled back) is more frequent than 5 % and three standard errors.
*Harm* is a loss at or beyond a margin of the default policy: 3 points over all cases, 10 in any stratum.

"""


def judged(cells: Iterator[Cell], problems: list[str]) -> Iterator[Row]:
    """Every cell's row; what the product decides otherwise goes to `problems`."""
    for cell in cells:
        row = judge(cell)
        print(f"{row.evidence}, {row.truth}, {row.pairs}: {row.rates['this gate']}", file=sys.stderr)
        problems += [f"{row.evidence}, {row.truth}: {sentence}" for sentence in mismatches(cell.counts)]
        yield row


def timed(problems: list[str]) -> Iterator[Row]:
    """Two rows a stream: Kayenta's rule given requests, and minutes."""
    plan = plan_of({"default": latency.REQUESTS})
    steady = latency.steady_readings(plan)
    for stream in latency.STREAMS:
        verdicts = latency.judge_stream(stream)
        baseline, candidate = latency.draw(stream, np.random.default_rng(0))
        ours = latency.decide_times(baseline, candidate, plan, steady)[0]
        if ours != latency.product_verdict(baseline, candidate, plan):
            problems.append(f"latency, {stream.truth}: the product decides otherwise")
        for feed, theirs in (("requests", verdicts.kayenta_requests), ("1-minute means", verdicts.kayenta_minutes)):
            print(f"latency, {stream.truth}: {Rates.of(verdicts.gate)}", file=sys.stderr)
            yield Row(
                evidence=f"time to first token; Kayenta: {feed}",
                truth=stream.truth,
                kind=stream.kind,
                pairs=f"{latency.REQUESTS:,}",
                discordance=None,
                runs=verdicts.gate.size,
                rates={"this gate": Rates.of(verdicts.gate), "Kayenta": Rates.of(theirs)},
            )


def chosen(rows: Sequence[Row]) -> tuple[dict[str, Row], dict[str, Row]]:
    """The ten cells of the picture, by heading."""
    simulated = [row for row in rows if row.evidence == "simulated, 8 strata of 150" and row.discordance == 0.10]
    wanted = {
        "IFEval, arms by coin": ("IFEval", "unchanged", "541"),
        "tau-bench, same model": ("tau-bench", "unchanged", "400"),
        "IFEval -3.7 points": ("IFEval", "-3.7", "400"),
        "GSM8K -4.3 points": ("GSM8K", "-4.3", "400"),
        "GSM8K +4.3 points": ("GSM8K", "+4.3", "400"),
    }
    real = {
        heading: next(
            r for r in rows if r.evidence.startswith(source) and r.truth.startswith(truth) and r.pairs == pairs
        )
        for heading, (source, truth, pairs) in wanted.items()
    }
    return {row.truth: row for row in simulated}, real


def main() -> int:
    """Judge, print, write; 0 if every promise is kept."""
    parser = argparse.ArgumentParser(description="this gate beside four other release rules")
    parser.add_argument(
        "--data", type=Path, default=ROOT.parent / "shared" / "data", help="real pairs, from public sources"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results", help="where to write")
    arguments = parser.parse_args()
    problems: list[str] = []
    rows = list(judged(simulated_cells(), problems))
    has_real = arguments.data.is_dir()
    if has_real:
        rows += judged(real_cells(arguments.data), problems)
    rows += timed(problems)
    problems += broken_promises(rows)
    table = render(rows)
    print(table)
    if has_real:
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "decisions.md").write_text(HEAD + table, encoding="utf-8")
        (arguments.out / "decisions.svg").write_text(draw(*chosen(rows)), encoding="utf-8")
    else:
        print(
            f"no real pairs at {arguments.data}: nothing was written; see benchmarks/decisions/pairs.py for the sources"
        )
    print(*problems, sep="\n", file=sys.stderr)
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
