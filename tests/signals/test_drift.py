"""Drift is shown and never decides; half of it is no evidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom

from canary.calibration import NOISE_SCHEMA, Calibration, Similarity, Usage
from canary.codec import evidence_digests, line_digests
from canary.errors import EvidenceError
from canary.evidence import read_records, write_records
from canary.pipeline import Suite
from canary.plan import Plan, ReleasePlan
from canary.policy import Policy
from canary.records import Arm, Decision, Evidence, Measurement, Prompt, Response, Signal, Status, Tier
from canary.run.drift import Kept, measure_drift
from tests.jsonl import write_jsonl

Judge = Callable[..., Any]
Find = Callable[..., Signal]
NAME = "drift/perplexity"


def said(rng: np.random.Generator, nats: float, cases: int = 120) -> list[dict[str, Any]]:
    """Answers of twenty tokens with that many nats a token."""
    return [{"logprobs": tuple(float(-x) for x in rng.exponential(nats, 20))} for _ in range(cases)]


def test_perplexity_that_rose_is_shown_and_does_not_block(judge: Judge, find: Find) -> None:
    """e^0.5 to e^1.0: found, advisory, and the verdict is what it was."""
    rng = np.random.default_rng(0)

    verdict = judge(np.ones(120), np.ones(120), responses=(said(rng, 0.5), said(rng, 1.0)))
    signal = find(verdict, NAME)

    assert verdict.verdict is Decision.PROMOTE
    assert (signal.tier, signal.status) == (Tier.ADVISORY, Status.FAIL)
    assert signal.estimate == pytest.approx(np.exp(0.5), rel=0.15)
    assert signal.effect == "ratio"


def test_equal_perplexity_passes(judge: Judge, find: Find) -> None:
    """The same log-probabilities in both arms are inside the ratio."""
    rows = said(np.random.default_rng(0), 0.5)

    assert find(judge(np.ones(120), np.ones(120), responses=(rows, rows)), NAME).status is Status.PASS


@pytest.mark.parametrize("arm", [0, 1])
def test_logprobs_missing_in_one_arm_are_missing_evidence(judge: Judge, find: Find, arm: int) -> None:
    """The advisory signal is inconclusive, says whose are missing, and holds nothing up."""
    rows: list[Any] = [said(np.random.default_rng(0), 0.5), said(np.random.default_rng(1), 0.5)]
    rows[arm] = [{} for _ in range(120)]

    verdict = judge(np.ones(120), np.ones(120), responses=tuple(rows))
    signal = find(verdict, NAME)

    assert signal.status is Status.INCONCLUSIVE
    assert f"120 of 120 {list(Arm)[arm]} responses carry no logprobs" in signal.reason
    assert verdict.verdict is Decision.PROMOTE


def test_without_logprobs_there_is_no_signal(judge: Judge) -> None:
    """Nothing recorded, nothing said."""
    assert all(signal.kind != "drift" for signal in judge(np.ones(60), np.ones(60)).signals)


class Words:
    """An embedder of two directions: what starts with `a`, and the rest."""

    name = "words"

    def __call__(self, texts: Any) -> Any:
        """One unit vector a text."""
        return np.array([[1.0, 0.0] if text.startswith("a") else [0.0, 1.0] for text in texts], dtype=np.float32)


def answers(arm: Arm, words: list[str]) -> list[Response]:
    """One answer a case."""
    return [Response(id=f"c{i:05d}", arm=arm, output=word) for i, word in enumerate(words)]


def measure(
    baseline: list[str],
    candidate: list[str],
    embedder: Any = Words,
    calibration: Calibration | None = None,
    prompts: tuple[Prompt, ...] = (),
) -> tuple[Measurement, ...]:
    """What the edge stores of two lists of answers that an assertion embedded."""
    responses = [*answers(Arm.BASELINE, baseline), *answers(Arm.CANDIDATE, candidate)]
    kept = Kept(embedder)
    kept.open()([*dict.fromkeys([*baseline, *candidate])])
    side = ReleasePlan(name="r", digest="0" * 64, release={})
    plan = Plan(
        stage="staging",
        baseline=side,
        candidate=side,
        policy=Policy(),
        suite=Suite(golden_sets=("g",)),
        strata=(),
        golden_sha256="0" * 64,
        seed=0,
        versions={},
        calibration=calibration,
    )
    return tuple(measure_drift(kept, responses, plan, prompts))


def test_answers_that_moved_are_found(judge: Judge, find: Find) -> None:
    """Half of the answers turned to another direction; the test's result is the evidence."""
    measured = measure(["apple"] * 60, ["apple"] * 30 + ["pear"] * 30)

    verdict = judge(np.ones(120), np.ones(120), telemetry=measured)
    signal = find(verdict, "drift/embedding")

    assert measured[0].method == "energy distance, swaps within pairs, words"
    assert (signal.tier, signal.status, signal.n) == (Tier.ADVISORY, Status.FAIL, 60)
    assert "they moved, p 0.0005 <= 0.05" in signal.reason
    assert verdict.verdict is Decision.PROMOTE
    assert "telemetry" in verdict.record
    assert "telemetry" not in judge(np.ones(120), np.ones(120)).record


def alike_to_itself(threshold: float) -> Calibration:
    """A calibration that measured how alike the baseline's answers are to each other, and nothing else."""
    return Calibration(
        schema=NOISE_SCHEMA, baseline="0" * 64, golden="0" * 64, scoring="0" * 64, repeat=1, verdict=Decision.HOLD,
        reason="", noise=(), latency=(), usage=Usage(input_tokens=None, output_tokens=None, total_s=None),
        similar=(Similarity(metric="drift/likeness", n=60, alpha=0.05, threshold=threshold),),
    )  # fmt: skip


def test_answers_are_held_against_the_baseline_itself() -> None:
    """With the baseline's likeness to itself known, the share of answers below it is tested, one-sided."""
    itself = measure(["apple"] * 60, ["apple"] * 60)[1]
    assert (itself.id, itself.n, itself.value) == ("drift/likeness", 60, 1.0)
    kept = alike_to_itself(itself.value)

    [moved] = measure(["apple"] * 60, ["apple"] * 50 + ["pear"] * 10, calibration=kept)
    [still] = measure(["apple"] * 60, ["apple"] * 60, calibration=kept)

    assert (moved.id, moved.n) == ("drift/embedding", 60)
    assert moved.value == pytest.approx(1 / 6)
    assert moved.p == pytest.approx(binom.sf(9, 60, 0.05))
    assert (still.value, still.p) == (0.0, 1.0)


def test_the_stratum_that_moved_is_named(judge: Judge, find: Find) -> None:
    """Ten of two hundred are no surprise at 5 %, ten of one stratum's fifty are, even after Holm."""
    prompts = tuple(
        Prompt(
            id=f"c{i:05d}", digest="d", stratum="abcd"[i % 4], cluster=str(i), vars={}, messages=None, expected=None,
            asserts=(), metadata={},
        )
        for i in range(200)
    )  # fmt: skip
    said = ["pear" if i % 4 == 1 and i < 40 else "apple" for i in range(200)]

    [moved] = measure(["apple"] * 200, said, calibration=alike_to_itself(1.0), prompts=prompts)
    [still] = measure(["apple"] * 200, ["apple"] * 200, calibration=alike_to_itself(1.0), prompts=prompts)

    assert moved.p == pytest.approx(binom.sf(9, 200, 0.05))
    assert moved.p > 0.05
    share = f"adjusted p {4 * binom.sf(9, 50, 0.05):.2g}"
    signal = find(judge(np.ones(120), np.ones(120), telemetry=(moved,)), "drift/embedding")
    assert signal.reason.startswith("5.0% of the answers are less alike than the baseline's own: no drift found")
    assert moved.warnings == (f"stratum 'b': 20% of 50 answers are less alike than the baseline's own, {share}",)
    assert still.warnings == ()


def test_one_answer_to_many_prompts_is_shown(judge: Judge, find: Find) -> None:
    """A third of the candidate's answers are one, the baseline's are all its own: found, advisory, with both shares."""

    class Many(Words):
        def __call__(self, texts: Any) -> Any:
            return np.eye(64, dtype=np.float32)[[int(text) for text in texts]]

    prompts = tuple(
        Prompt(
            id=f"c{i:05d}", digest="d", stratum="a", cluster=str(i), vars={}, messages=None, expected=None,
            asserts=(), metadata={},
        )
        for i in range(60)
    )  # fmt: skip
    own, fallen = [str(i) for i in range(60)], [str(0 if i < 20 else i) for i in range(60)]

    measured = measure(own, fallen, Many, prompts=prompts)
    verdict = judge(np.ones(120), np.ones(120), telemetry=measured)
    signal = find(verdict, "drift/duplicates")

    assert (signal.tier, signal.status) == (Tier.ADVISORY, Status.FAIL)
    assert "33.3% more of the answers repeat one to another prompt: they moved" in signal.reason
    assert "0% of the baseline's answers and 33% of the candidate's repeat one" in signal.method
    assert verdict.verdict is Decision.PROMOTE
    assert [each.id for each in measure(own, own, Many, prompts=prompts)] == ["drift/embedding", "drift/likeness"]


def test_answers_that_did_not_move_prove_nothing(judge: Judge, find: Find) -> None:
    """There is no margin to be inside of, so it stays open and says so."""
    words = ["apple", "pear"] * 30

    signal = find(judge(np.ones(120), np.ones(120), telemetry=measure(words, words)), "drift/embedding")

    assert signal.status is Status.INCONCLUSIVE
    assert signal.reason.endswith("no drift found, p 1 > 0.05, and none excluded")
    assert (signal.low, signal.high, signal.need) == (None, None, None)


def test_nothing_embedded_is_nothing_measured() -> None:
    """Few pairs, failed answers and broken vectors leave no record."""

    class Broken(Words):
        def __call__(self, texts: Any) -> Any:
            return super().__call__(texts) * np.nan

    assert measure(["apple"] * 9, ["pear"] * 9) == ()
    assert measure(["apple"] * 60, ["pear"] * 60, Broken) == ()


def test_the_result_survives_the_record(tmp_path: Path) -> None:
    """Written and read back, it is the same; its digest joins only where it is there."""
    measured = measure(["apple"] * 60, ["pear"] * 60)
    write_records(tmp_path / "telemetry.jsonl", measured)
    evidence = Evidence(prompts=(), responses=(), scores=(), telemetry=measured)
    lines = (tmp_path / "telemetry.jsonl").read_bytes().splitlines(keepends=True)

    assert read_records(Measurement, tmp_path / "telemetry.jsonl") == measured
    assert evidence_digests(evidence) == line_digests((), (), (), lines)
    assert "telemetry" not in evidence_digests(replace(evidence, telemetry=()))


@pytest.mark.parametrize("line", ['{"id":"drift/embedding","n":60,"value":NaN,"p":0.1,"method":"m"}\n', '{"id":"dri'])
def test_torn_or_infinite_results_are_refused(tmp_path: Path, line: str) -> None:
    """No NaN is read, and half a line is named."""
    (tmp_path / "telemetry.jsonl").write_text(line)

    with pytest.raises(EvidenceError, match=r"telemetry\.jsonl:1"):
        read_records(Measurement, tmp_path / "telemetry.jsonl")


@pytest.mark.slow
def test_a_kept_run_is_judged_again_without_a_model(tmp_path: Path, canary: Callable[..., Any]) -> None:
    """Real embeddings of what `similar` compared; replay reads the result and gives the same bytes."""
    pytest.importorskip("sentence_transformers", reason="needs canary-gate[embeddings]")
    ids = [f"c{i}" for i in range(24)]
    spec = {"type": "similar", "value": "{{expected}}", "threshold": 0.2}
    cases = [{"id": id_, "vars": {}, "expected": f"answer {id_}", "assert": [spec]} for id_ in ids]
    outputs = {"b": "the answer is {}", "c": "bananas and {} are yellow", "p": ""}
    for name, text in outputs.items():
        rows = cases if name == "p" else [{"id": id_, "output": text.format(id_)} for id_ in ids]
        write_jsonl(tmp_path / f"{name}.jsonl", rows)
    files = [tmp_path / "b.jsonl", tmp_path / "c.jsonl", "--golden", tmp_path / "p.jsonl"]

    first = canary("compare", *files, "--out", tmp_path / "run", "--json")
    again = canary("replay", tmp_path / "run", "--json")

    assert first.signal("drift/embedding")["status"] == "fail"
    assert again.out == first.out
    assert canary("verify", tmp_path / "run").status == 0
    (tmp_path / "run" / "telemetry.jsonl").unlink()
    assert "telemetry.jsonl is missing" in canary("replay", tmp_path / "run").err
