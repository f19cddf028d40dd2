"""A suite's judges held against people's labels, and where the result is kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from canary.agreement import JUDGE_SCHEMA, Agreement, JudgeCalibration, JudgeFile, Rate
from canary.config import digest_of_judges, load_judges, load_pipeline, load_suite, names_suite
from canary.digest import digest_of
from canary.document import display
from canary.errors import EvidenceError
from canary.golden import GoldenSet, load_golden_sets
from canary.judging import JudgePlan
from canary.labelled import LabelRow
from canary.located import printable
from canary.pipeline import Suite
from canary.run.agreement import Verdicts, agreements_of, reason_of
from canary.run.judged import judges_of
from canary.run.labels import read_labels, require_metrics
from canary.run.questioning import Asked, ask_about
from canary.run.weights import pinned_suite
from canary.signals.wording import dollars


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A file of calibrations, where it was written, and which of them are new."""

    file: JudgeFile
    path: Path
    metrics: tuple[str, ...]


def calibrate_judge(target: Path, *, labels: Path, out: Path | None, err: TextIO) -> Measured:
    """Hold the judges of a suite or pipeline against labels, and keep the result.

    What the labels hold of a judge's own verdicts is taken as said; else the
    judge is asked about the outputs they quote. Metrics that the file kept so
    far and the labels do not name stay as they are. Raises UsageError with
    every mistake found, before anything is asked.
    """
    suite, path = _suite_of(target)
    rows = read_labels(labels)
    every = load_golden_sets([Path(folder) for folder in suite.golden_sets], suite)
    judges = judges_of(suite, every, every, stage="calibrate", seed=0)
    require_metrics(rows, judges, display(labels))
    where = out or path
    kept = {judge.metric: judge for judge in load_judges(where).judges} if where.exists() else {}
    metrics = tuple(sorted({row.metric for row in rows}))
    for metric in metrics:
        kept[metric] = _measured(metric, rows, judges[metric], suite, every, err)
    file = seal_judges(kept.values())
    where.write_text(file.model_dump_json(by_alias=True, indent=2) + "\n", encoding="utf-8")
    return Measured(file=file, path=where, metrics=metrics)


def _suite_of(target: Path) -> tuple[Suite, Path]:
    """The suite, and where its judges' calibration belongs."""
    if names_suite(target):
        pipeline = load_pipeline(target)
        suite, _ = pinned_suite(load_suite(Path(pipeline.suite)), pipeline.mlflow.tracking_uri)
    else:
        suite, _ = pinned_suite(load_suite(target), None)
    named = None if suite.judge is None else suite.judge.calibration
    return suite, Path(named) if named else target.with_suffix(".judge.json")


def judge_file_of(suite: Suite, *besides: Path) -> Path | None:
    """The file that the suite names, or the first that stands beside one of these; None without any."""
    if suite.judge is not None and suite.judge.calibration is not None:
        return Path(suite.judge.calibration)
    return next((found for path in besides if (found := path.with_suffix(".judge.json")).exists()), None)


def with_agreement(judges: Mapping[str, JudgePlan], file: Path | None) -> dict[str, JudgePlan]:
    """The judges with what is known of them; raises ConfigError where the file is not whole."""
    known = None if file is None else load_judges(file)
    if known is None:
        return dict(judges)
    return {metric: judge.model_copy(update={"calibration": known.of(metric)}) for metric, judge in judges.items()}


def seal_judges(judges: Iterable[JudgeCalibration]) -> JudgeFile:
    """The calibrations as a file that shows when it was edited."""
    ordered = tuple(sorted(judges, key=lambda judge: judge.metric))
    return JudgeFile(schema=JUDGE_SCHEMA, sha256=digest_of_judges(ordered), judges=ordered)


def _measured(
    metric: str, rows: Sequence[LabelRow], judge: JudgePlan, suite: Suite, every: GoldenSet, err: TextIO
) -> JudgeCalibration:
    mine = sorted((row for row in rows if row.metric == metric), key=_order)
    strata = {prompt.id: prompt.stratum for prompt in every.prompts}
    asked = None if mine[0].judge is not None else ask_about(mine, metric, suite, every.prompts, err)
    found = _recorded(mine, strata) if asked is None else _asked(mine, asked, strata)
    parts = agreements_of(found)
    return JudgeCalibration(
        metric=metric,
        judge=judge.digest,
        labels=digest_of([row.model_dump(mode="json") for row in mine]),
        asked=asked is not None,
        abstained=sum(each.said is None for each in found),
        fit=parts[0].fit,
        reason=reason_of(found),
        cost_usd=None if asked is None else asked.cost_usd,
        tokens=None if asked is None else asked.tokens,
        strata=parts,
    )


def _order(row: LabelRow) -> tuple[str, ...]:
    return tuple(map(str, row.place))


def _recorded(rows: Sequence[LabelRow], strata: Mapping[str, str]) -> list[Verdicts]:
    """What the labels themselves say the judge said."""
    answers: dict[object, list[LabelRow]] = {}
    for row in rows:
        answers.setdefault(row.answer, []).append(row)
    found = []
    for several in answers.values():
        said = {(row.order, row.repeat): bool(row.judge) for row in several}
        one = several[0]
        if ("given", 0) not in said:
            raise EvidenceError(f"labels of '{one.id}': one line must have 'order: given' and 'repeat: 0' (got none)")
        found.append(
            Verdicts(
                stratum=one.stratum or strata.get(one.id),
                label=one.label,
                said=said["given", 0],
                swapped=said.get(("swapped", 0)),
                again=tuple(value for (order, repeat), value in said.items() if order == "given" and repeat > 0),
            )
        )
    return found


def _asked(rows: Sequence[LabelRow], asked: Asked, strata: Mapping[str, str]) -> list[Verdicts]:
    """What the judge says now that it was asked."""
    return [
        Verdicts(
            stratum=row.stratum or strata.get(row.id),
            label=row.label,
            said=said,
            again=tuple(each for each in asked.again[number : number + 1] if each is not None),
        )
        for number, (row, said) in enumerate(zip(rows, asked.said, strict=True))
    ]


def render_judges(measured: Measured) -> str:
    """What was found, in words."""
    heads = f"{'sensitivity':>20} {'specificity':>20} {'agree':>6} {'kappa':>6} {'yes':>5}"
    lines = [f"{'stratum':20} {'n':>5} {heads}  judge"]
    for judge in measured.file.judges:
        if judge.metric in measured.metrics:
            lines += [f"{printable(judge.metric)}:", *(_row(agreement) for agreement in judge.strata), *_remarks(judge)]
    return "\n".join((*lines, f"written to {display(measured.path)}"))


def _row(found: Agreement) -> str:
    return (
        f"  {printable(found.stratum):18} {found.n:5d} {_shown(found.sensitivity):>20} {_shown(found.specificity):>20} "
        f"{found.agreement:6.0%} {found.kappa:6.2f} {found.base_rate:5.0%}  {'fit' if found.fit else 'unfit'}"
    )


def _shown(rate: Rate | None) -> str:
    return "unknown" if rate is None else f"{rate.value:.0%} ({rate.low:.0%} to {rate.high:.0%})"


def _remarks(judge: JudgeCalibration) -> Iterator[str]:
    pooled = judge.strata[0]
    yield f"  {'fit' if judge.fit else 'unfit'}: {judge.reason}"
    for flips, when in ((pooled.order, "in the other order"), (pooled.repetition, "asked the same again")):
        if flips is not None:
            yield f"  {flips.rate:.0%} of {flips.n} verdicts change {when}"
    if judge.abstained:
        yield f"  {judge.abstained} labelled answers got no verdict that counts"
    if judge.tokens is not None:
        cost = "" if judge.cost_usd is None else f", {dollars(judge.cost_usd)}"
        yield f"  a judgement takes {judge.tokens:.0f} tokens{cost}"
