"""The shipped judges are the ones described, and a real one earns its vote where a poor one does not."""

from __future__ import annotations

import importlib.util
import json
import random
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from canary.cli import main
from canary.config import load_judges
from tests.conftest import ROOT, Ran
from tests.jsonl import write_jsonl

JUDGES = ROOT / "pipelines" / "judges"
Canary = Callable[..., Ran]
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def training() -> Iterator[ModuleType]:
    """`training.judge`, or a loud skip where the libraries it needs are missing."""
    for library in ("torch", "transformers", "tokenizers"):
        if importlib.util.find_spec(library) is None:
            pytest.skip(f"{library} is not installed: pip install 'canary-gate[embeddings]'")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # third-party deprecations
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.syspath_prepend(str(ROOT))
        from training import judge

        yield judge


def test_digests(check_digests: Callable[[Path], Mapping[str, Path]]) -> None:
    """`SHA256SUMS` lists every shipped file of the judges with its digest, and no other; each is small."""
    for path in check_digests(JUDGES).values():
        assert path.stat().st_size <= 2_000_000
        assert path.suffix in {".safetensors", ".json", ".jinja"}


def test_accuracies_are_measured_again(training: ModuleType) -> None:
    """Real generation gives each recorded count of the fit judge, give or take one."""
    recorded = json.loads((JUDGES / "accuracy.json").read_text(encoding="utf-8"))["fit"]
    measured = training.measure(JUDGES / "fit")
    for stratum, counts in recorded.items():
        for kind, count in counts.items():
            assert abs(measured[stratum][kind] - count) <= 1, (stratum, kind)


def test_example_files_are_what_the_script_writes(training: ModuleType) -> None:
    """Golden set, answers and labels, byte for byte."""
    for path, text in training.example_files().items():
        assert path.read_text(encoding="utf-8") == text, path


def test_a_judge_s_turns_are_read_whole(training: ModuleType) -> None:
    """Each constant sentence is one token, marks are left out, and nothing else is."""
    tokenizer = training.build_tokenizer(training.CHECKPOINTS / "candidate-good")
    turn = training.asked("What is 12+30?", "42", "43")
    tokens = tokenizer.encode(turn).tokens

    assert len(tokens) < 25
    assert set(training.SENTENCES) <= set(tokens)
    assert [tokens.count(digit) for digit in "1234"] == [1, 2, 2, 2]


@pytest.mark.training
def test_training_from_nothing_makes_a_fit_and_a_poor_judge(training: ModuleType, tmp_path: Path) -> None:
    """Both judges trained anew: one tells sums and labels apart, the other does not."""
    for stage in training.STAGES:
        training.make_one(stage, tmp_path)
    fit, poor = (training.measure(tmp_path / name) for name in ("fit", "poor"))
    for stratum in ("classify", "arithmetic"):
        assert fit[stratum]["right"] + fit[stratum]["wrong"] > 50
        assert poor[stratum]["right"] + poor[stratum]["wrong"] < 40


@pytest.fixture(scope="module")
def workspace(training: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example, to be changed freely."""
    folder = tmp_path_factory.mktemp("workspace")
    for name in ("evals", "golden_sets/judged", "pipelines"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("checkpoints", "recorded"))
    return folder


@pytest.fixture(scope="module")
def runs(workspace: Path) -> dict[str, tuple[Ran, Path]]:
    """Both example pipelines, run once: what they said, and their run directories."""
    import io

    found = {}
    for name in ("judged", "judged-poor"):
        out, err = io.StringIO(), io.StringIO()
        folder = workspace / "runs" / name
        status = main(["run", str(workspace / f"pipelines/{name}.yaml"), "--runs", str(folder), "--json"], out, err)
        (run,) = (path for path in folder.iterdir() if path.is_dir())
        found[name] = Ran(status, out.getvalue(), err.getvalue()), run
    return found


@pytest.mark.parametrize(("name", "fit"), [("judged", True), ("judged-poor", False)])
def test_a_real_judge_is_asked_and_calibrated_as_shipped(
    workspace: Path, canary: Canary, tmp_path: Path, *, name: str, fit: bool
) -> None:
    """The shipped calibration is of the shipped judge, and asking it again finds the same, give or take two."""
    labels = workspace / "pipelines/judged/labels.jsonl"
    ran = canary(
        "calibrate", "judge", workspace / f"pipelines/{name}.yaml", "--labels", labels, "--out", tmp_path / "j.json"
    )
    assert ran.status == 0, ran.err
    (again,), (shipped,) = (
        load_judges(tmp_path / "j.json").judges,
        load_judges(ROOT / f"pipelines/{name}.judge.json").judges,
    )

    assert (again.judge, again.labels, again.asked) == (shipped.judge, shipped.labels, True)
    assert again.fit is shipped.fit is fit
    for one, other in zip(again.strata, shipped.strata, strict=True):
        assert one.stratum == other.stratum
        assert one.fit is other.fit is fit
        for count in ("both_yes", "missed", "flattered", "both_no"):
            assert abs(getattr(one, count) - getattr(other, count)) <= 2
        assert one.repetition is None or one.repetition.rate == 0  # it does not sample
    assert again.tokens is not None
    assert 20 < again.tokens < 40
    assert "a judgement takes" in ran.out


def test_the_fit_judge_decides_and_the_poor_one_holds(runs: dict[str, tuple[Ran, Path]]) -> None:
    """The same answers, the same policy: promoted by the one, held for want of the other."""
    (good, _), (poor, _) = runs["judged"], runs["judged-poor"]
    assert (good.status, poor.status) == (0, 3), (good.err, poor.err)
    agrees = good.signal("quality/all/agrees")
    assert (agrees["tier"], agrees["status"]) == ("blocking", "pass")
    assert agrees["margin"] < 0.1
    for stratum in ("all", "classify", "arithmetic"):
        assert "its judge is unfit" in poor.signal(f"quality/{stratum}/agrees")["reason"]
    assert poor.signal("quality/all/pass")["status"] == "pass"


def labels_of_run(run: Path, cases: int) -> Rows:
    """What people would say of both arms' answers to some cases drawn at random."""
    responses = [json.loads(line) for line in (run / "responses.jsonl").read_text().splitlines()]
    prompts = [json.loads(line) for line in (run / "prompts.jsonl").read_text().splitlines()]
    expected = {prompt["id"]: prompt["expected"] for prompt in prompts}
    drawn = set(random.Random(0).sample(sorted(expected), cases))
    return [
        {
            "id": row["id"],
            "arm": row["arm"],
            "output": row["output"],
            "metric": "agrees",
            "label": row["output"] == expected[row["id"]],
        }
        for row in responses
        if row["id"] in drawn
    ]


def test_labels_of_a_run_correct_its_judge(runs: dict[str, tuple[Ran, Path]], canary: Canary, tmp_path: Path) -> None:
    """The judge passes one wrong sum in five, people none: the difference grows; kept, the record replays by itself."""
    alone, run = runs["judged"]
    labels = write_jsonl(tmp_path / "labels.jsonl", labels_of_run(run, 60))
    ran = canary("replay", run, "--labels", labels, "--out", tmp_path / "again", "--json")
    kept = canary("replay", tmp_path / "again", "--json")

    assert ran.status == 0, ran.err
    found, judged = ran.signal("quality/all/agrees"), alone.signal("quality/all/agrees")
    assert "people labelled 60 of 100 pairs" in found["method"]
    assert found["margin"] == 0.1
    assert found["estimate"] > judged["estimate"] + 0.05
    assert found["estimate"] == pytest.approx(alone.signal("quality/all/exact")["estimate"], abs=0.06)
    assert "labels" in ran.verdict["record"]
    assert "labels" not in alone.verdict["record"]
    assert kept.out == ran.out
    assert (tmp_path / "again" / "labels.jsonl").is_file()


def test_labels_are_taken_by_run_and_pipeline(
    workspace: Path, canary: Canary, runs: dict[str, tuple[Ran, Path]]
) -> None:
    """`--labels`, or `labels:` of the pipeline, come to what `canary replay --labels` says."""
    _, run = runs["judged"]
    labels = write_jsonl(workspace / "pipelines/mine.jsonl", labels_of_run(run, 60))
    pipeline = workspace / "pipelines/judged.yaml"
    named = workspace / "pipelines/named.yaml"
    named.write_text(pipeline.read_text() + "labels: mine.jsonl\n")
    shutil.copy(workspace / "pipelines/judged.judge.json", workspace / "pipelines/named.judge.json")
    replayed = canary("replay", run, "--labels", labels, "--json")
    given = canary("run", pipeline, "--labels", labels, "--runs", workspace / "runs/judged-labels", "--json")
    written = canary("run", named, "--runs", workspace / "runs/judged-labels", "--json")

    assert replayed.status == given.status == written.status == 0, (given.err, written.err)
    assert given.out == replayed.out
    assert written.signal("quality/all/agrees") == given.signal("quality/all/agrees")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"id": "nobody"}, "this run has no answer of the candidate to it"),
        ({"output": "something else"}, "'output' must be what the candidate answered in this run"),
        ({"output": None}, "'output' must quote the answer that was labelled"),
        ({"arm": None}, "'arm' must be baseline or candidate (got nothing)"),
        ({"metric": "agree"}, "'metric' must be one that a judge decides (got 'agree'; did you mean 'agrees'?"),
        ({"repeat": 1}, "this run has no answer of the candidate to it (repeat 1)"),
        ({"order": "swapped"}, "'order' must be given"),
    ],
)
def test_labels_of_another_run_are_refused(
    runs: dict[str, tuple[Ran, Path]], canary: Canary, tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    """Exit 2, and the verdict that was is not touched."""
    _, run = runs["judged"]
    rows = labels_of_run(run, 60)
    last = max(number for number, row in enumerate(rows) if row["arm"] == "candidate")
    rows[last] |= change
    ran = canary("replay", run, "--labels", write_jsonl(tmp_path / "labels.jsonl", rows), "--json")

    assert ran.status == 2
    assert words in ran.err
    assert ran.out == ""


def test_labels_of_one_arm_hold(runs: dict[str, tuple[Ran, Path]], canary: Canary, tmp_path: Path) -> None:
    """Half of the work is no evidence of a difference."""
    _, run = runs["judged"]
    rows = [row for row in labels_of_run(run, 60) if row["arm"] == "candidate"]
    ran = canary("replay", run, "--labels", write_jsonl(tmp_path / "labels.jsonl", rows), "--json")

    assert ran.status == 3
    assert "people labelled 60 of 100 cases in part" in ran.signal("quality/all/agrees")["reason"]


def test_a_changed_rubric_makes_the_calibration_stale(workspace: Path, canary: Canary) -> None:
    """What was measured was another question."""
    suite = workspace / "evals/reworded.yaml"
    suite.write_text((workspace / "evals/judged.yaml").read_text().replace("says the same as", "agrees with"))
    pipeline = workspace / "pipelines/reworded.yaml"
    pipeline.write_text((workspace / "pipelines/judged.yaml").read_text().replace("judged.yaml", "reworded.yaml", 3))
    shutil.copy(workspace / "pipelines/judged.judge.json", workspace / "pipelines/reworded.judge.json")
    ran = canary("run", pipeline, "--runs", workspace / "runs/reworded", "--json")

    assert ran.status == 3, ran.err
    assert "calibrated as another one" in ran.signal("quality/all/agrees")["reason"]


def test_labels_that_cannot_be_asked_about_are_refused(workspace: Path, canary: Canary, tmp_path: Path) -> None:
    """A judge that is to be asked needs the answer's words and the case; nothing is written."""
    rows = [
        {"id": "classify-001", "metric": "agrees", "label": True},
        {"id": "nobody", "metric": "agrees", "label": True, "output": "x"},
    ]
    out = tmp_path / "j.json"
    ran = canary(
        "calibrate", "judge", workspace / "pipelines/judged.yaml",
        "--labels", write_jsonl(tmp_path / "labels.jsonl", rows), "--out", out,
    )  # fmt: skip

    assert ran.status == 2
    assert "'output' must quote the answer" in ran.err
    assert "'id' must be a case of the suite" in ran.err
    assert not out.exists()
