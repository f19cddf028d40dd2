"""A run comes back to where it was cut off, and takes nothing away from what is there."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from canary.codec import encode
from canary.errors import EvidenceError
from canary.evidence import RunDirectory, load_plan
from canary.journal import Journal
from canary.plan import Plan
from canary.policy import Policy, QualityRule
from canary.records import Arm, Response
from canary.run.parcel import carry, pack, receive, send, unpack
from canary.run.sequence import SPOOL
from tests.evidence.conftest import PLAN

NAME = "20260101T000000Z-abc"


def lines(*cases: int, arms: Sequence[Arm] = tuple(Arm), at: float = 1.0, **fields: Any) -> bytes:
    """Answers as a journal has them."""
    answers = (Response(id=f"c{n}", arm=arm, output="x", started_at=at, **fields) for n in cases for arm in arms)
    return b"".join(map(encode, answers))


def run(runs: Path, responses: bytes, *, spool: bytes | None = None, prompts: str | None = "the cases") -> Path:
    """A run that was cut off."""
    folder = runs / NAME
    folder.mkdir(parents=True)
    RunDirectory(folder).write_plan(PLAN)
    if prompts is not None:
        (folder / "prompts.jsonl").write_text(prompts)
    (folder / "responses.jsonl").write_bytes(responses)
    if spool is not None:
        (folder / SPOOL).write_bytes(spool)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Every file, but the lock."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}


TORN = lines(9, arms=[Arm.BASELINE])[:-20]


@pytest.mark.parametrize(
    ("there", "spool", "found", "found_spool"),
    [
        (lines(0, 1), None, lines(0, 1, 2), None),
        (lines(0, 1), None, lines(0, 1), None),
        (lines(0) + TORN, None, lines(0, 1) + TORN, None),
        (lines(0) + lines(1, arms=[Arm.BASELINE]), None, lines(0) + lines(1, at=2.0), None),
        (b"", lines(0, 1, arms=[Arm.BASELINE]) + TORN, b"", lines(0, 1, 2, arms=[Arm.BASELINE])),
        (b"", lines(0, 1, arms=[Arm.BASELINE]), lines(0, 1, cost_usd=0.5), None),
    ],
    ids=["more", "the same", "torn", "half a pair", "one arm", "both arms, billed"],
)
def test_what_went_on_takes_the_place(
    tmp_path: Path, there: bytes, spool: bytes | None, found: bytes, found_spool: bytes | None
) -> None:
    """All that was answered before is in it; what a crash cut in two, or answered for one arm only, was asked again."""
    before = run(tmp_path / "runs", there, spool=spool)
    after = run(tmp_path / "cluster", found, spool=found_spool)
    (after / "verdict.json").write_text("{}")

    assert unpack(pack(after), tmp_path / "runs") == before

    assert (before / "verdict.json").read_text() == "{}"
    assert (before / "responses.jsonl").read_bytes() == found.removesuffix(TORN)
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [NAME]


@pytest.mark.parametrize(
    ("there", "spool", "found", "prompts", "said"),
    [
        (lines(0, 1), None, lines(0), "the cases", "with 2 answers that the fetched run has not"),
        (lines(0, 1), None, lines(0) + lines(1, at=2.0), "the cases", "with 2 answers that"),
        (b"", lines(0, arms=[Arm.BASELINE]), b"", "the cases", "with 1 answers that"),
        (lines(0, ttft_s=9.0), None, lines(0, 1, ttft_s=0.1), "the cases", "with 2 answers that"),
        (lines(0), None, lines(0, 1, cost_usd=0.5), "the cases", "with 2 answers that"),
        (lines(0), None, lines(0, 1), "other cases", "of other cases"),
        (lines(0), None, lines(0, 1), None, "of other cases"),
    ],
    ids=["fewer", "others", "one arm", "faster", "dearer", "cases", "no cases"],
)
def test_nothing_is_lost_to_a_run_that_comes_back(
    tmp_path: Path, there: bytes, spool: bytes | None, found: bytes, prompts: str | None, said: str
) -> None:
    """Answers that only the run here has are worth more than its name."""
    before = run(tmp_path / "runs", there, spool=spool)
    kept = contents(before)
    after = run(tmp_path / "cluster", found, prompts=prompts)

    with pytest.raises(EvidenceError, match=re.escape(said)):
        unpack(pack(after), tmp_path / "runs")

    assert contents(before) == kept
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [NAME]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / "manifest.json").write_text("{}"), "is there already: 'canary replay"),
        (lambda folder: (folder / "responses.jsonl").unlink(), "is there already: 'canary replay"),
        (lambda folder: (folder / "responses.jsonl").write_text("no\nanswer\n"), "responses.jsonl:1: "),
    ],
    ids=["finished", "no run", "broken"],
)
def test_only_a_run_that_was_cut_off_is_succeeded(tmp_path: Path, spoil: Callable[[Path], object], said: str) -> None:
    """What is finished, or no run, is left as it is."""
    before = run(tmp_path / "runs", lines(0))
    spoil(before)
    kept = contents(before)

    with pytest.raises(EvidenceError, match=re.escape(said)):
        unpack(pack(run(tmp_path / "cluster", lines(0, 1))), tmp_path / "runs")

    assert contents(before) == kept


@pytest.mark.parametrize("fault", [OSError("no room"), KeyboardInterrupt()], ids=["fault", "interrupt"])
def test_what_was_there_stays_where_its_successor_cannot_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: BaseException
) -> None:
    """Between the two moves nothing stands at its place: whatever happens there puts back what was."""
    before = run(tmp_path / "runs", lines(0))
    kept, after, rename = contents(before), run(tmp_path / "cluster", lines(0, 1)), Path.rename

    def spoilt(moved: Path, target: Path) -> Path:
        if target == before and moved.name == "run":
            raise fault
        return rename(moved, target)

    monkeypatch.setattr(Path, "rename", spoilt)

    with pytest.raises(type(fault)):
        unpack(pack(after), tmp_path / "runs")

    assert contents(before) == kept
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [NAME]


def test_files_of_others_are_not_cleared_away(tmp_path: Path) -> None:
    """What somebody laid beside the answers is not the gate's to delete; what it measured itself may go."""
    before = run(tmp_path / "runs", lines(0))
    (before / "telemetry.jsonl").write_text("{}")
    (before / "notes.md").write_text("mine")
    after = run(tmp_path / "cluster", lines(0, 1))

    with pytest.raises(EvidenceError, match=r"with files that the fetched run has not \(notes.md\): move them"):
        unpack(pack(after), tmp_path / "runs")
    (before / "notes.md").rename(tmp_path / "notes.md")

    assert unpack(pack(after), tmp_path / "runs") == before


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (
            PLAN.model_copy(update={"policy": Policy(quality=QualityRule(max_drop=0.9))}),
            "another plan ('policy.quality",
        ),
        (PLAN.model_copy(update={"candidate": PLAN.baseline}), "another plan ('candidate.digest'"),
        (None, "plan.json is missing"),
    ],
    ids=["rules", "release", "none"],
)
def test_what_obeys_other_rules_does_not_take_the_place(tmp_path: Path, plan: Plan | None, said: str) -> None:
    """A run that comes back with every answer, and is judged by what nobody here has asked for."""
    before = run(tmp_path / "runs", lines(0))
    kept, after = contents(before), run(tmp_path / "cluster", lines(0, 1))
    (after / "plan.json").unlink() if plan is None else RunDirectory(after).write_plan(plan)

    with pytest.raises(EvidenceError, match=re.escape(said)):
        unpack(pack(after), tmp_path / "runs")

    assert contents(before) == kept


def test_what_may_change_under_a_run_does_not_keep_it_away(tmp_path: Path) -> None:
    """A cluster has its own versions of things, and its own place for the pipeline."""
    before = run(tmp_path / "runs", lines(0))
    after = run(tmp_path / "cluster", lines(0, 1))
    elsewhere = PLAN.model_copy(update={"versions": {"ray": "9"}, "pipeline": "p.yaml", "warnings": ("late",)})
    RunDirectory(after).write_plan(elsewhere)

    assert unpack(pack(after), tmp_path / "runs") == before
    assert load_plan(RunDirectory(before)) == elsewhere


def test_a_parcel_begins_its_own_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was killed may have left half a line in the log, and half a run beside it; neither spoils what comes."""
    taken = run(tmp_path / "here", lines(0))
    (tmp_path / "here" / ".fetched-1").mkdir()  # as a signal leaves it
    (tmp_path / "here" / ".fetched-1" / "plan.json").touch()
    sys.stdout.write("half a line")

    send(tmp_path / "here")

    assert unpack(capsys.readouterr().out.splitlines(), tmp_path / "there") == tmp_path / "there" / taken.name


def test_a_link_that_leads_nowhere_is_there_already(tmp_path: Path) -> None:
    """It is the user's, and is neither followed nor replaced."""
    (tmp_path / "runs").mkdir()
    link = tmp_path / "runs" / NAME
    link.symlink_to(tmp_path / "none")

    with pytest.raises(EvidenceError, match="is there already"):
        unpack(pack(run(tmp_path / "cluster", lines(0))), tmp_path / "runs")

    assert link.is_symlink()


def test_a_run_that_somebody_goes_on_with_is_left_alone(tmp_path: Path) -> None:
    """Its writer holds the lock."""
    before = run(tmp_path / "runs", lines(0))
    with (
        Journal.open(RunDirectory(before).responses),
        pytest.raises(EvidenceError, match="is writing this run"),
    ):
        unpack(pack(run(tmp_path / "cluster", lines(0, 1))), tmp_path / "runs")

    assert (before / "responses.jsonl").read_bytes() == lines(0)


def test_a_run_travels_as_a_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is taken along to a cluster is the run, with what waits in it."""
    taken = run(tmp_path / "here", lines(0), spool=lines(1, arms=[Arm.BASELINE]))
    sent, module = contents(taken), carry(taken, tmp_path)
    shutil.rmtree(tmp_path / "here")
    monkeypatch.syspath_prepend(tmp_path)

    receive(tmp_path / "there")

    assert module.parent == tmp_path
    assert contents(tmp_path / "there" / NAME) == sent
