"""Nothing unknown promotes: scores and policies that decide nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.fail_closed.conftest import Bench, Canary, assert_holds, assert_refuses


def test_negated_assertions_do_not_pass_on_errors(bench: Bench) -> None:
    """An errored response scores 0 for `not-` forms too."""
    for row in bench.golden:
        row["assert"] = [{"type": "not-contains", "value": "sorry"}]
    bench.candidate = [{"id": row["id"], "error": {"kind": "server", "message": "down"}} for row in bench.candidate]

    assert bench.compare().signal("quality/all/pass")["candidate"] == 0.0


def test_a_metric_the_baseline_never_scores_on_holds(bench: Bench) -> None:
    """With a typo in the expectation, gibberish would be no worse than the baseline."""
    for row in bench.golden:
        row["expected"] = "typo"

    assert_holds(bench.compare(), "every baseline score is 0, so this metric cannot show a loss")


def test_every_scorer_abstaining_holds(bench: Bench, tmp_path: Path) -> None:
    """A scorer that breaks says nothing about either arm, and the reason says how it broke."""
    (tmp_path / "broken.py").write_text("def grade(output, case):\n    raise RuntimeError('no model')\n")
    for row in bench.golden:
        row["assert"] = [{"type": "python", "value": f"file://{tmp_path}/broken.py:grade"}]

    assert_holds(bench.compare(), "no score in one arm or both", "no model")


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-0.1", "1.5", '"high"', "null"])
def test_scores_out_of_range_are_refused(bench: Bench, value: str) -> None:
    """The line and the metric are named."""
    for row in bench.both:
        row["scores"] = {"tone": 0.5}
    files = [bench.write("b.jsonl", bench.baseline), bench.write("c.jsonl", bench.candidate)]
    text = files[1].read_text(encoding="utf-8")
    files[1].write_text(text.replace('"tone": 0.5', f'"tone": {value}', 1), encoding="utf-8")

    assert_refuses(bench._canary("compare", *files, "--json"), "c.jsonl:1", "tone")


def test_scores_on_some_lines_only_hold(bench: Bench) -> None:
    """A metric that is not on every line of both arms is missing evidence."""
    for row in bench.both:
        row["scores"] = {"tone": 1.0}
    bench.candidate[3] = {"id": "c3", "output": "3"}

    assert_holds(bench.compare(), "1 of 120 cases have no score in one arm or both", "not recorded for candidate 'c3'")


def test_one_empty_scores_object_switches_nothing_off(bench: Bench) -> None:
    """A logger that writes `scores: {}` has recorded no score; the assertions decide."""
    for row in bench.candidate:
        row["output"] = "WRONG"
    bench.candidate[0]["scores"] = {}

    ran = bench.compare()

    assert ran.status == 1
    assert ran.signal("quality/all/pass")["candidate"] == 0.0


@pytest.mark.parametrize("crash", ["sys.exit(0)", "raise GeneratorExit", "raise BaseException('x')"])
def test_code_under_test_cannot_end_the_gate(bench: Bench, tmp_path: Path, crash: str) -> None:
    """Whatever an assertion raises is an abstention, and importing it is a usage error."""
    (tmp_path / "rude.py").write_text(f"import sys\ndef grade(output, case):\n    {crash}\n")
    (tmp_path / "ruder.py").write_text(f"import sys\n{crash}\n")
    for row in bench.golden:
        row["assert"] = [{"type": "python", "value": f"file://{tmp_path}/rude.py:grade"}]

    assert_holds(bench.compare(), "no score in one arm or both")
    for row in bench.golden:
        row["assert"] = [{"type": "python", "value": f"file://{tmp_path}/ruder.py:grade"}]
    assert_refuses(bench.compare(), "ruder.py")


def test_an_exit_from_a_plugin_is_no_verdict(bench: Bench, canary: Canary, monkeypatch: pytest.MonkeyPatch) -> None:
    """SystemExit(0) from anywhere below is exit 4, not promote."""
    from canary.run import recorded

    monkeypatch.setattr(recorded, "evaluate", lambda *_: sys.exit(0))

    assert bench.compare().status == 4


def test_asserted_refusals_are_answers(bench: Bench) -> None:
    """A stratum of cases that must be refused can pass."""
    for i, row in enumerate(bench.golden):
        if i % 2:
            row["assert"] = [{"type": "is-refusal"}]
            for arm in (bench.baseline, bench.candidate):
                arm[i] = {"id": row["id"], "error": {"kind": "refusal", "message": "I cannot help with that"}}

    ran = bench.compare()

    assert ran.status == 0, ran.verdict["reason"]


def test_no_scores_and_no_golden_set_is_refused(bench: Bench) -> None:
    """Outputs alone cannot be judged."""
    files = [bench.write("b.jsonl", bench.baseline), bench.write("c.jsonl", bench.candidate)]

    assert_refuses(bench._canary("compare", *files, "--json"), "--golden")


def test_zero_blocking_signals_hold(bench: Bench) -> None:
    """A policy that only watches cannot promote."""
    kinds = ("server", "truncated", "refusal", "malformed")
    errors = "".join(f"  {kind}: {{tier: advisory}}\n" for kind in kinds)
    bench.policy = f"quality: {{metrics: {{pass: {{tier: advisory}}}}}}\nerrors:\n{errors}"

    assert_holds(bench.compare(), "no blocking signal")


def test_a_missing_policy_is_refused(bench: Bench) -> None:
    """A policy that is named must be there."""
    assert_refuses(bench.compare("--policy", bench.folder / "nowhere.yaml"), "nowhere.yaml")


@pytest.mark.parametrize("text", ["", "   \n", "# nothing\n", "[]\n", "just words\n"])
def test_an_empty_policy_is_refused(bench: Bench, text: str) -> None:
    """An empty file is not the default policy."""
    bench.policy = text

    assert_refuses(bench.compare(), "policy.yaml")


def test_a_policy_over_a_metric_that_does_not_exist_holds(bench: Bench) -> None:
    """A gate on something unmeasured is not passed."""
    bench.policy = "quality: {metrics: {tone: {tier: blocking}}}\n"

    assert_holds(bench.compare(), "metric 'tone' is asked for, but no response carries it")


def test_a_critical_stratum_that_does_not_exist_holds(bench: Bench) -> None:
    """A protected stratum without cases protects nothing."""
    bench.policy = "quality: {critical: {strata: [code]}}\n"

    assert_holds(bench.compare(), "no case has a score")
    assert bench.compare().signal("quality/code/pass")["status"] == "inconclusive"


def test_a_policy_that_contradicts_itself_is_refused(bench: Bench) -> None:
    """A stratum cannot be critical and optional."""
    bench.policy = "quality: {critical: {strata: [a]}, stratum: {optional: [a]}}\n"

    assert_refuses(bench.compare(), "'quality.critical.strata' and 'quality.stratum.optional' both name 'a'")


@pytest.mark.parametrize("name", ["candidate.jsonl", "prompts.jsonl"])
def test_keys_written_twice_are_refused(bench: Bench, name: str) -> None:
    """Of two outputs or references on one line nobody knows which was meant."""
    bench.compare()
    key, path = ("output" if name.startswith("c") else "expected"), bench.folder / name
    path.write_text(path.read_text().replace(f'"{key}": "7"', f'"{key}": "WRONG", "{key}": "7"', 1))
    files = [bench.folder / file for file in ("baseline.jsonl", "candidate.jsonl", "prompts.jsonl")]

    ran = bench._canary("compare", *files[:2], "--golden", files[2], "--json")

    assert_refuses(ran, f"{name}:8", key, "stands twice in one object")


def test_texts_that_look_like_keys_are_texts(bench: Bench) -> None:
    """Quotes and colons inside an output are no keys."""
    for row in bench.both:
        row["output"] = '{"output": "1", "output": "2"}'
    for row in bench.golden:
        row["expected"] = '{"output": "1", "output": "2"}'

    assert bench.compare().status == 0


def test_a_category_in_which_nobody_ever_scored_holds(bench: Bench) -> None:
    """Assertions that no answer meets measure nothing: the candidate may say anything there."""
    for case, one, other in zip(bench.golden, bench.baseline, bench.candidate, strict=True):
        if case["metadata"]["stratum"] == "a":
            one["output"], other["output"] = f"the {case['expected']}.", "garbage"

    assert_holds(bench.compare(), "every baseline score is 0, so this metric cannot show a loss")
