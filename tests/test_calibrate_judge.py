"""A judge is held against people, and what is kept of that can be neither torn nor forged nor outlived."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.jsonl import write_jsonl

Canary = Callable[..., Any]
Rows = list[dict[str, Any]]
CASES = 160


class Court:
    """A recorded pipeline whose suite has a judged metric, and labels of the judge's own verdicts."""

    def __init__(self, folder: Path, canary: Canary) -> None:
        self.folder, self.canary = folder, canary
        self.pipeline, self.suite, self.kept = folder / "p.yaml", folder / "suite.yaml", folder / "p.judge.json"
        self.write("golden/prompts.jsonl", [
            {"id": f"c{i}", "vars": {"q": str(i)}, "expected": "x", "metadata": {"stratum": "ab"[i % 2]}}
            for i in range(CASES)
        ])  # fmt: skip
        for arm in ("v1", "v2"):
            self.write(f"{arm}.jsonl", [{"id": f"c{i}", "output": f"{arm} {i}"} for i in range(CASES)])
        self.name_judge("gpt-9")
        self.pipeline.write_text(
            "suite: suite.yaml\n"
            "baseline: {name: v1, engine: replay, responses: v1.jsonl}\n"
            "candidate: {name: v2, engine: replay, responses: v2.jsonl}\n"
            "runner: local\n"
        )

    def name_judge(self, model: str, rubric: str = "is polite") -> None:
        """Write the suite with this judge."""
        release = f"{{name: j, engine: openai, model: {model}, base_url: 'http://127.0.0.1:9'}}"
        self.suite.write_text(
            "golden_sets: [golden]\n"
            "assert:\n"
            "  - {type: equals, value: x}\n"
            f"  - {{type: llm-rubric, value: {rubric}, metric: polite}}\n"
            f"judge: {{release: {release}}}\n"
        )

    def write(self, name: str, rows: Rows) -> Path:
        """Write one JSONL file."""
        return write_jsonl(self.folder / name, rows)

    def labels(self, right: float = 0.9, *, of: str = "ab", metric: str = "polite") -> Rows:
        """What people say, and a judge that is right this often."""
        rng = random.Random(0)
        rows: Rows = [
            {"id": f"c{i}", "metric": metric, "label": i % 4 < 2, "arm": "candidate", "output": f"v2 {i}"}
            for i in range(CASES)
            if "ab"[i % 2] in of
        ]
        return [row | {"judge": row["label"] ^ (rng.random() > right)} for row in rows]

    def calibrate(self, rows: Rows, target: Path | None = None, *options: object) -> Any:
        """`canary calibrate judge` on these labels."""
        labels = self.write("labels.jsonl", rows)
        return self.canary("calibrate", "judge", target or self.pipeline, "--labels", labels, *options)

    def document(self) -> dict[str, Any]:
        """What was kept."""
        found: dict[str, Any] = json.loads(self.kept.read_text())
        return found

    def plan(self) -> Any:
        """A command that reads the calibration."""
        return self.canary("plan", self.pipeline, "--allow-underpowered")


@pytest.fixture
def court(tmp_path: Path, canary: Canary) -> Court:
    """A judge to be heard."""
    return Court(tmp_path, canary)


def test_agreement_is_kept_beside_the_pipeline(court: Court) -> None:
    """Counts, rates, intervals, kappa and base rate by stratum; the same bytes whatever the order of the lines."""
    ran = court.calibrate(court.labels())
    first = court.kept.read_bytes()
    court.calibrate(court.labels()[::-1])

    assert ran.status == 0, ran.err
    assert court.kept.read_bytes() == first
    (judge,) = court.document()["judges"]
    assert (judge["metric"], judge["fit"], judge["asked"], judge["abstained"]) == ("polite", True, False, 0)
    pooled, a, b = judge["strata"]
    assert [pooled["stratum"], a["stratum"], b["stratum"]] == ["all", "a", "b"]
    assert pooled["both_yes"] + pooled["missed"] + pooled["flattered"] + pooled["both_no"] == CASES
    assert pooled["base_rate"] == 0.5
    agreed = (pooled["both_yes"] + pooled["both_no"]) / CASES
    assert pooled["agreement"] == pytest.approx(agreed)
    assert pooled["kappa"] == pytest.approx(2 * agreed - 1, abs=0.01)
    assert pooled["sensitivity"]["low"] < pooled["sensitivity"]["value"] < pooled["sensitivity"]["high"]
    assert str(court.folder) not in first.decode()
    assert "fit: it passes" in ran.out
    assert "written to" in ran.out


def test_flips_are_reported(court: Court) -> None:
    """The other order, and the same question again, from lines that say so."""
    rows = court.labels(1.0)
    swapped = [row | {"order": "swapped", "judge": row["judge"] ^ (i % 4 == 0)} for i, row in enumerate(rows)]
    again = [row | {"repeat": 1, "judge": row["judge"] ^ (i % 10 == 0)} for i, row in enumerate(rows)]
    ran = court.calibrate([*rows, *swapped, *again])

    pooled = court.document()["judges"][0]["strata"][0]
    assert pooled["order"] == {"n": CASES, "rate": 0.25}
    assert pooled["repetition"] == {"n": CASES, "rate": 0.1}
    assert "25% of 160 verdicts change in the other order" in ran.out


def test_labels_may_be_csv(court: Court) -> None:
    """The same labels, the same calibration."""
    rows = court.labels()
    court.calibrate(rows)
    first = court.kept.read_bytes()
    path = court.folder / "labels.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    ran = court.canary("calibrate", "judge", court.pipeline, "--labels", path)

    assert ran.status == 0, ran.err
    assert court.kept.read_bytes() == first


def test_a_suite_keeps_its_own_and_may_name_the_file(court: Court) -> None:
    """Beside the suite for every pipeline of it, or where the suite says; the plan carries it."""
    court.calibrate(court.labels(), court.suite)
    assert (court.folder / "suite.judge.json").is_file()
    assert not court.kept.exists()

    court.suite.write_text(court.suite.read_text().replace("judge: {", "judge: {calibration: there.json, "))
    lacking = court.plan()
    court.calibrate(court.labels(), court.suite)
    assert lacking.status == 2
    assert "there.json: does not exist" in lacking.err
    assert (court.folder / "there.json").is_file()
    assert court.plan().status == 0


def test_a_plan_says_that_its_judge_may_not_decide(court: Court) -> None:
    """Refused before a token is spent; after a calibration that finds it fit, no word of it."""
    (court.folder / "policy.yaml").write_text(
        "version: 1\nquality: {max_drop: 0.1, metrics: {polite: {tier: blocking}}}\n"
    )
    court.pipeline.write_text(court.pipeline.read_text() + "policy: policy.yaml\n")
    before = court.canary("plan", court.pipeline)
    court.calibrate(court.labels())
    after = court.canary("plan", court.pipeline, "--allow-underpowered")

    assert before.status != 0
    assert "quality/all/polite: its judge was never compared with people" in before.out + before.err
    assert "never compared" not in after.out + after.err


def test_compare_finds_the_suite_s_calibration(court: Court) -> None:
    """Beside the suite it is given; torn, it is refused as anywhere."""
    files = [court.folder / name for name in ("v1.jsonl", "v2.jsonl")]
    court.calibrate(court.labels(), court.suite)
    kept = court.folder / "suite.judge.json"
    ran = court.canary("compare", *files, "--suite", court.suite, "--json")
    whole = kept.read_bytes()
    kept.unlink()
    without = court.canary("compare", *files, "--suite", court.suite, "--json")
    kept.write_bytes(whole)
    kept.write_text(kept.read_text()[:-200])
    torn = court.canary("compare", *files, "--suite", court.suite, "--json")

    unknown = "never compared with people"
    assert not any(unknown in note for note in ran.signal("quality/all/polite")["warnings"])
    assert any(unknown in note for note in without.signal("quality/all/polite")["warnings"])
    assert torn.status == 2
    assert "suite.judge.json" in torn.err


def test_one_metric_s_labels_leave_another_s_calibration(court: Court) -> None:
    """A file holds every metric of its suite."""
    court.suite.write_text(
        court.suite.read_text().replace("judge:", "  - {type: closed-qa, value: is right, metric: right}\njudge:")
    )
    court.calibrate(court.labels())
    court.calibrate(court.labels(metric="right"))

    assert [judge["metric"] for judge in court.document()["judges"]] == ["polite", "right"]


ROW = {"id": "c0", "metric": "polite", "label": True, "judge": True}


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "labels.jsonl: holds no label"),
        ([ROW, ROW], "labels.jsonl:2: labels the same answer to 'c0' as line 1 again"),
        ([ROW | {"metric": "polit"}], "'metric' must be one that a judge decides (got 'polit'; did you mean 'polite'?"),
        ([ROW | {"label": 1}], "labels.jsonl:1: 'label' must be true or false (got 1)"),
        ([ROW | {"label": "true"}], "labels.jsonl:1: 'label' must be true or false (got 'true')"),
        ([ROW | {"label": None}], "labels.jsonl:1: 'label' must be true or false"),
        ([ROW | {"label": float("nan")}], "labels.jsonl:1: a number must be finite (got NaN)"),
        ([{"id": "c0", "metric": "polite"}], "labels.jsonl:1: 'label' is required"),
        ([ROW | {"lable": True}], "labels.jsonl:1: 'lable' is not a known key"),
        ([ROW | {"order": "swapped"}], "one line must have 'order: given'"),
        (
            [ROW, ROW | {"repeat": 1, "label": False}],
            "labels.jsonl:2: 'label' must be what line 1 says of the same answer",
        ),
        (
            [ROW, {"id": "c1", "metric": "polite", "label": True}],
            "labels.jsonl:2: 'judge' must be on every line of metric 'polite' or on none (see line 1)",
        ),
    ],
)
def test_bad_labels_are_refused(court: Court, rows: Rows, words: str) -> None:
    """Exit 2 with file, line and field, and nothing is written."""
    ran = court.calibrate(rows)

    assert ran.status == 2
    assert words in ran.err
    assert not court.kept.exists()


def test_every_bad_line_is_named_at_once(court: Court) -> None:
    """Half a line, a list and a key written twice, in one go."""
    path = court.folder / "labels.jsonl"
    path.write_text('{"id": "c0", "metric"\n[1]\n{"id": "c1", "id": "c2", "metric": "m", "label": true}\n')
    ran = court.canary("calibrate", "judge", court.pipeline, "--labels", path)

    assert ran.status == 2
    assert [line.split("labels.jsonl:")[1][0] for line in ran.err.splitlines()] == ["1", "2", "3"]


def test_people_of_one_mind_calibrate_nobody(court: Court) -> None:
    """Without a single no, whether the judge would have said it is unknown: unfit, and said so."""
    ran = court.calibrate([row | {"label": True, "judge": True} for row in court.labels()])

    assert ran.status == 0
    (judge,) = court.document()["judges"]
    assert judge["fit"] is False
    assert judge["strata"][0]["specificity"] is None
    assert "people gave one label only" in judge["reason"]
    assert "unknown" in ran.out


@pytest.mark.parametrize("torn", ["", "{", "[]", "null", '{"schema": "canary-gate/judge/1"}'])
def test_a_torn_calibration_is_refused(court: Court, torn: str) -> None:
    """Half a file is not an absent one."""
    court.kept.write_text(torn)

    ran = court.plan()

    assert ran.status == 2
    assert "p.judge.json" in ran.err
    assert "measure it again: canary calibrate judge" in ran.err


@pytest.mark.parametrize(
    ("before", "after"),
    [('"fit": false', '"fit": true'), ('"both_yes": ', '"both_yes": 1'), ('"metric": "polite"', '"metric": "right"')],
)
def test_an_edited_calibration_is_refused(court: Court, before: str, after: str) -> None:
    """Nobody makes a judge fit with an editor."""
    court.calibrate(court.labels(0.5))
    court.kept.write_text(court.kept.read_text().replace(before, after, 1))

    ran = court.plan()

    assert ran.status == 2
    assert "was edited after it was measured" in ran.err


def labelled(court: Court, metric: str, judge: str, items: Rows, verdicts: str) -> Rows:
    """LLMBar's pairs as labels: is the first answer the better one?"""
    rows = []
    for item in items:
        if (item["category"], item["judge"], item["prompt"]) != (metric, judge, "Vanilla"):
            continue
        row = {"id": f"{metric}-{item['item']}", "metric": "polite", "label": item["gold"] == "1", "stratum": metric}
        for order, column in (("given", "winner_orig"), ("swapped", verdicts)):
            if item[column]:
                rows.append(row | {"judge": item[column] == "1", "order": order})
    given = {row["id"] for row in rows if row["order"] == "given"}
    return [row for row in rows if row["id"] in given]


def test_real_judges_on_real_labels(court: Court, shared_data: Path) -> None:
    """LLMBar: GPT-4 is fit on natural pairs; the weak judges are unfit on adversarial ones, and flip with the order."""
    with (shared_data / "llmbar" / "llmbar_natural_gptinst.csv").open() as file:
        items = list(csv.DictReader(file))
    found = {}
    for category, judge in (("Natural", "GPT-4"), *(("GPTInst", j) for j in ("ChatGPT", "LLaMA2", "Falcon"))):
        ran = court.calibrate(labelled(court, category, judge, items, "winner_swapped"))
        assert ran.status == 0, ran.err
        parts = {part["stratum"]: part for part in court.document()["judges"][0]["strata"]}
        found[judge] = parts[category]

    assert found["GPT-4"]["fit"]
    assert sum(found["GPT-4"][count] for count in ("both_yes", "missed", "flattered", "both_no")) == 100
    assert found["GPT-4"]["informedness"]["low"] > 0.7
    for weak in ("ChatGPT", "LLaMA2", "Falcon"):
        assert not found[weak]["fit"], weak
    assert found["ChatGPT"]["informedness"]["value"] < 0
    assert found["GPT-4"]["order"]["rate"] < 0.2 < found["ChatGPT"]["order"]["rate"]
