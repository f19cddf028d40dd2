"""Nothing unknown promotes: every way evidence can be missing, and what is said."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

Rows = list[dict[str, Any]]
Canary = Callable[..., Any]

CASES = 120
"""Enough to promote when nothing is wrong: errors need 88, a 3-point margin too."""


class Bench:
    """Two arms that answer alike; each test breaks one thing."""

    def __init__(self, folder: Path, canary: Canary) -> None:
        self.folder, self._canary = folder, canary
        self.golden: Rows = [
            {"id": f"c{i}", "vars": {"prompt": f"say {i}"}, "expected": str(i), "metadata": {"stratum": "ab"[i % 2]}}
            for i in range(CASES)
        ]
        self.baseline: Rows = [{"id": f"c{i}", "output": str(i)} for i in range(CASES)]
        self.candidate: Rows = [dict(row) for row in self.baseline]
        self.policy: str | None = None

    @property
    def both(self) -> Rows:
        """Every line of both arms."""
        return [*self.baseline, *self.candidate]

    def write(self, name: str, rows: list[Mapping[str, Any]] | Rows) -> Path:
        """Write one JSONL file."""
        path = self.folder / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path

    def compare(self, *options: object) -> Any:
        """Run `canary compare` on what the test left."""
        files = [self.write("baseline.jsonl", self.baseline), self.write("candidate.jsonl", self.candidate)]
        if self.policy is not None:
            (self.folder / "policy.yaml").write_text(self.policy, encoding="utf-8")
            options = (*options, "--policy", self.folder / "policy.yaml")
        golden = self.write("prompts.jsonl", self.golden)
        return self._canary("compare", *files, "--golden", golden, "--json", *options)


@pytest.fixture
def bench(tmp_path: Path, canary: Canary) -> Bench:
    """A comparison that promotes as it stands."""
    return Bench(tmp_path, canary)


def assert_holds(ran: Any, *words: str) -> None:
    """The verdict is hold, exit 3, and the reasons carry the words."""
    assert ran.status == 3, ran.err
    assert ran.verdict["verdict"] == "hold"
    reasons = " ".join(signal["reason"] for signal in ran.verdict["signals"]) + ran.verdict["reason"]
    for word in words:
        assert word in reasons


def assert_refuses(ran: Any, *words: str) -> None:
    """Exit 2, no verdict, and an error that carries the words."""
    assert ran.status == 2, ran.out
    assert ran.out == ""
    for word in words:
        assert word in ran.err


def test_the_bench_promotes_when_nothing_is_wrong(bench: Bench) -> None:
    """Otherwise the tests below could not fail."""
    ran = bench.compare()

    assert ran.status == 0, ran.verdict["reason"]


def test_empty_golden_set_is_refused(bench: Bench) -> None:
    """No cases, no question."""
    bench.golden = []

    assert_refuses(bench.compare(), "prompts.jsonl")


@pytest.mark.parametrize("arm", ["baseline", "candidate"])
def test_one_sided_cases_hold(bench: Bench, arm: str) -> None:
    """A case that one arm did not answer is named."""
    getattr(bench, arm).pop()

    assert_holds(bench.compare(), f"1 of {CASES} cases have no {arm} response: 'c{CASES - 1}'")


def test_cases_nobody_answered_hold(bench: Bench) -> None:
    """A golden case without any answer is missing, not forgotten."""
    bench.baseline.pop()
    bench.candidate.pop()

    assert_holds(bench.compare(), "no baseline response", "no candidate response")


def test_responses_to_unknown_cases_are_refused(bench: Bench) -> None:
    """An answer to a case that is not asked means the files do not belong together."""
    bench.candidate.append({"id": "stranger", "output": ""})

    assert_refuses(bench.compare(), "candidate", "'stranger'")


def test_duplicate_case_ids_are_refused(bench: Bench) -> None:
    """The same id twice is ambiguous."""
    bench.golden.append(dict(bench.golden[0]))

    assert_refuses(bench.compare(), f"prompts.jsonl:{CASES + 1}", "'c0'")


def test_duplicate_response_ids_are_refused(bench: Bench) -> None:
    """Two answers to one case and repeat are ambiguous."""
    bench.candidate.append(dict(bench.candidate[0]))

    assert_refuses(bench.compare(), f"candidate.jsonl:{CASES + 1}", '"c0"')


def test_a_stratum_below_its_minimum_holds(bench: Bench) -> None:
    """Nine perfect pairs decide nothing."""
    for i, row in enumerate(bench.golden):
        row["metadata"] = {"stratum": "rare" if i < 9 else "common"}

    assert_holds(bench.compare(), "9 pairs decide nothing; 10 are the least")


def test_a_broken_baseline_holds(bench: Bench) -> None:
    """Better than nothing is not fit to replace it."""
    bench.baseline = [{"id": row["id"], "error": {"kind": "server", "message": "down"}} for row in bench.baseline]

    assert_holds(bench.compare(), "every baseline response", "nothing to compare with")


def test_a_broken_candidate_rolls_back(bench: Bench) -> None:
    """Errors stay in the denominator."""
    bench.candidate = [{"id": row["id"], "error": {"kind": "server", "message": "down"}} for row in bench.candidate]

    ran = bench.compare()

    assert ran.status == 1
    assert ran.signal("errors/server")["status"] == "fail"
    assert ran.signal("quality/all/pass")["candidate"] == 0.0


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


def test_a_torn_file_is_refused(bench: Bench) -> None:
    """A half-written last line is not read as a short file."""
    files = [bench.write("b.jsonl", bench.baseline), bench.write("c.jsonl", bench.candidate)]
    golden = bench.write("prompts.jsonl", bench.golden)
    files[1].write_bytes(files[1].read_bytes()[:-9])

    assert_refuses(bench._canary("compare", *files, "--golden", golden, "--json"), f"c.jsonl:{CASES}", "torn")


@pytest.mark.parametrize("arm", ["baseline", "candidate"])
def test_prices_missing_in_one_arm_hold(bench: Bench, arm: str) -> None:
    """Cost that only one arm carries is missing evidence."""
    for row in getattr(bench, arm):
        row["cost_usd"] = 0.01

    assert_holds(bench.compare(), "carry no cost")


def test_cost_gated_without_prices_holds(bench: Bench) -> None:
    """A policy that names cost must be given costs."""
    bench.policy = "cost: {per_request: {max_ratio: 1.1}}\n"

    assert_holds(bench.compare(), "carry no cost: give 'cost_usd', or the release a 'price'")


@pytest.mark.parametrize("arm", ["baseline", "candidate"])
def test_latency_in_one_arm_holds(bench: Bench, arm: str) -> None:
    """Times that only one arm carries are missing evidence."""
    for row in getattr(bench, arm):
        row["ttft_s"] = 0.2

    assert_holds(bench.compare(), "carry no ttft time")


def test_latency_on_some_lines_holds(bench: Bench) -> None:
    """A fast arm must not be fast by leaving the slow times out."""
    for row in bench.both:
        row["ttft_s"] = 0.2
    del bench.candidate[5]["ttft_s"]

    assert_holds(bench.compare(), "1 of 120 candidate responses carry no ttft time")


@pytest.mark.parametrize(
    ("rules", "missing"),
    [
        ("total: {tm95: {max_ratio: 1.2, tier: blocking}}", "carry no total time"),
        ("itl: {tm95: null, tm99: null, slow: {max_increase: 0.05}}", "carry no tpot time"),
    ],
)
def test_latency_gated_without_times_holds(bench: Bench, rules: str, missing: str) -> None:
    """A policy that names any latency must be given times, whichever of its rules are on."""
    bench.policy = f"latency: {{{rules}}}\n"

    assert_holds(bench.compare(), missing)


@pytest.mark.parametrize(
    ("lengths", "missing"),
    [
        (
            (None, None),
            "record 'output_tokens', since totals are compared only between answers of about the same length",
        ),
        ((10, 100), "no pair's answers are of about the same length"),
    ],
)
def test_totals_without_equal_lengths_hold(bench: Bench, lengths: tuple[int | None, int | None], missing: str) -> None:
    """Total times of answers that cannot be matched by length are missing evidence, and it is said why."""
    bench.policy = "latency: {total: {tm95: {max_ratio: 1.2, tier: blocking}}}\n"
    for arm, tokens in zip((bench.baseline, bench.candidate), lengths, strict=True):
        for row in arm:
            row.update({"total_s": 1.0} if tokens is None else {"total_s": 1.0, "output_tokens": tokens})

    assert_holds(bench.compare(), missing)


def test_client_errors_hold(bench: Bench) -> None:
    """Requests that we got wrong say nothing of the release."""
    for row in bench.both:
        row.pop("output")
        row["error"] = {"kind": "client", "message": "401"}

    assert_holds(bench.compare(), "client errors")


def test_a_bug_in_the_gate_is_not_a_rollback(canary: Canary, monkeypatch: pytest.MonkeyPatch, bench: Bench) -> None:
    """Python's own exit status for a crash, 1, would read as a verdict."""
    from canary.run import recorded

    monkeypatch.setattr(recorded, "evaluate", lambda *_: 1 / 0)

    ran = bench.compare()

    assert ran.status == 4
    assert "nothing was decided" in ran.err


def test_mean_gaps_are_not_compared_with_gaps(bench: Bench) -> None:
    """Half as slow again must not pass because one arm kept gaps and the other their mean."""
    for i, (one, other) in enumerate(zip(bench.baseline, bench.candidate, strict=True)):
        one["itl_s"] = [0.05] * 100 if i % 2 else [0.01] * 2
        other["tpot_s"] = 0.075 if i % 2 else 0.015

    ran = bench.compare()

    assert ran.status != 0
    assert ran.signal("latency/itl/tm95")["estimate"] == pytest.approx(1.5)


def test_answers_of_many_tokens_without_gaps_hold(bench: Bench) -> None:
    """An empty list of gaps is undefined for one token; twenty come in one piece now and then, not in a row."""
    for row in bench.both:
        row["output_tokens"], row["itl_s"] = 20, [0.05] * 19
        row["ttft_s"], row["total_s"] = 1.0, 1.95
    for row in bench.candidate[:7]:
        row["total_s"] = 1.0
    for row in bench.candidate[:6]:
        row["itl_s"] = []
    by_chance = bench.compare()
    bench.candidate[6]["itl_s"] = []

    assert by_chance.signal("latency/itl/tm95")["status"] == "pass"
    why = "7 of 120 candidate responses carry no itl time; the tokens of 7 came in one piece, which no more than 5% may"
    assert_holds(bench.compare(), why)


def test_an_answer_that_stalls_without_gaps_holds(bench: Bench) -> None:
    """What ends half a minute after its first token did not come in one piece: its gaps were left out."""
    for row in bench.both:
        row["output_tokens"], row["itl_s"] = 20, [0.05] * 19
        row["ttft_s"], row["total_s"] = 1.0, 1.95
    bench.candidate[4] |= {"itl_s": [], "total_s": 31.0}

    assert_holds(bench.compare(), "1 of 120 candidate responses carry no itl time")


@pytest.mark.parametrize("gaps", ["both", "candidate"])
def test_a_tail_that_no_gap_shows_is_slow(bench: Bench, gaps: str) -> None:
    """What ends three seconds after its last gap says so in its mean time between tokens, and that is believed."""
    for row in bench.both:
        row["output_tokens"], row["itl_s"], row["tpot_s"] = 20, [0.05] * 19, 0.05
        row["ttft_s"], row["total_s"] = 1.0, 1.95
    for row in bench.candidate:
        row["tpot_s"], row["total_s"] = 0.21, 5.0
    for row in bench.baseline:
        row["itl_s"] = row["itl_s"] if gaps == "both" else None

    ran = bench.compare()

    assert ran.status == 1
    assert ran.signal("latency/itl/slow")["status"] == "fail"


@pytest.mark.parametrize("said", [{"itl_s": [0.01] * 99}, {"tpot_s": 0.01}, {"itl_s": [0.01] * 99, "tpot_s": 0.01}])
def test_times_that_contradict_each_other_promote_nobody(bench: Bench, said: dict[str, Any]) -> None:
    """Gaps that add up to a second between the first token and an end six seconds later leave five out."""
    for row in bench.both:
        row.update({"ttft_s": 0.2, "output_tokens": 100, "total_s": 1.2} | said)
    for row in bench.candidate:
        row["total_s"] = 6.2

    ran = bench.compare()

    assert (ran.status, ran.signal("latency/itl/mean")["status"]) == (1, "fail")
    assert ran.signal("latency/itl/mean")["candidate"] == pytest.approx(6 / 99)


@pytest.mark.parametrize("gaps", [[2.0, *[0.01] * 198], [0.01] * 198 + [2.0], [0.01] * 99 + [2.0] + [0.01] * 99])
def test_a_pause_in_every_answer_is_seen(bench: Bench, gaps: list[float]) -> None:
    """One pause of seconds, first, last or midway, is one of 199 gaps, and doubles the time of the answer."""
    for row in bench.both:
        row["ttft_s"], row["output_tokens"], row["itl_s"] = 0.2, 200, [0.01] * 199
    for row in bench.candidate:
        row["itl_s"] = gaps

    ran = bench.compare()

    assert ran.status == 1
    assert ran.signal("latency/itl/tm95")["status"] == "pass"
    assert ran.signal("latency/itl/mean")["estimate"] == pytest.approx(2, abs=0.01)


def test_tokens_held_back_for_one_burst_are_seen(bench: Bench) -> None:
    """A candidate that sends one token, and all others at the end, has next to no gaps and takes twice as long."""
    for row in bench.both:
        row["ttft_s"], row["output_tokens"], row["itl_s"] = 0.2, 100, [0.02] * 99
    for row in bench.candidate:
        row["itl_s"] = [4.0, *[0.0] * 98]

    ran = bench.compare()

    assert (ran.status, ran.signal("latency/itl/mean")["status"]) == (1, "fail")
    assert ran.signal("latency/itl/tm95")["estimate"] == 0


def test_the_body_of_gaps_is_the_rule_of_mean_gaps(bench: Bench) -> None:
    """One rule bounds both, so a policy that loosens or drops it does so for both."""
    for row in bench.both:
        row["output_tokens"], row["itl_s"] = 100, [0.02] * 99
    for row in bench.candidate:
        row["itl_s"] = [0.03] * 99
    bench.policy = "latency: {itl: {tm95: {max_ratio: 1.6}, tm99: null, slow: {max_increase: 0.05}}}\n"
    loosened = bench.compare()
    bench.policy = bench.policy.replace("{max_ratio: 1.6}", "null")

    assert (loosened.status, loosened.signal("latency/itl/mean")["margin"]) == (0, pytest.approx(1.6))
    assert {signal["name"] for signal in bench.compare().verdict["signals"] if "itl" in signal["name"]} == {
        "latency/itl/slow"
    }


@pytest.mark.parametrize("kind", ["throttled", "server"])
def test_a_candidate_that_turns_requests_away_once_is_seen(bench: Bench, kind: str) -> None:
    """A second try made all of them good, and no time is of the first."""
    for row in bench.both:
        row["ttft_s"], row["attempts"] = 0.2, [{"seconds": 0.3}]
    for row in bench.candidate[:40]:
        row["attempts"] = [{"seconds": 30.0, "error": {"kind": kind, "message": "later"}}, {"seconds": 0.3}]

    ran = bench.compare()

    first = ran.signal("errors/first_try")
    assert (ran.status, ran.signal("errors/server")["status"], first["status"]) == (1, "pass", "fail")
    assert (first["baseline"], first["candidate"]) == (0, pytest.approx(40 / CASES))
    assert first["warnings"] == ["40 candidate answers are of a second try, and so are their times"]


def test_requests_that_both_arms_turned_away_once_are_no_difference(bench: Bench) -> None:
    """Both met the same busy hour; a try that failed as often in both holds nobody."""
    for row in [*bench.baseline[:9], *bench.candidate[:9]]:
        row["attempts"] = [{"seconds": 0.1, "error": {"kind": "throttled", "message": "later"}}, {"seconds": 0.3}]

    ran = bench.compare()

    assert (ran.status, ran.signal("errors/first_try")["status"]) == (0, "pass")


def test_a_field_that_a_server_does_not_take_is_no_failed_try(bench: Bench) -> None:
    """The engine asks again without it; that first try was ours, and nothing is measured by it."""
    for row in bench.candidate:
        row["attempts"] = [{"seconds": 0.1, "error": {"kind": "client", "message": "seed"}}, {"seconds": 0.3}]

    ran = bench.compare()

    assert ran.status == 0
    assert "errors/first_try" not in {signal["name"] for signal in ran.verdict["signals"]}


def test_one_visible_token_has_no_gap(bench: Bench) -> None:
    """Servers count the end of an answer as a token: two tokens without a gap are one word, and no evidence lacks."""
    for row in bench.both:
        row["output_tokens"], row["itl_s"] = 20, [0.05] * 19
    for row in (*bench.baseline[:4], *bench.candidate[:4]):
        row["output_tokens"], row["itl_s"] = 2, []

    gap = bench.compare().signal("latency/itl/tm95")

    assert (gap["status"], gap["n"]) == ("pass", 116)


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
