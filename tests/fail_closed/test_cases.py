"""Nothing unknown promotes: cases and answers that are missing, doubled or broken, and what is said."""

from __future__ import annotations

import pytest

from tests.fail_closed.conftest import CASES, Bench, Canary, assert_holds, assert_refuses


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


def test_a_torn_file_is_refused(bench: Bench) -> None:
    """A half-written last line is not read as a short file."""
    files = [bench.write("b.jsonl", bench.baseline), bench.write("c.jsonl", bench.candidate)]
    golden = bench.write("prompts.jsonl", bench.golden)
    files[1].write_bytes(files[1].read_bytes()[:-9])

    assert_refuses(bench._canary("compare", *files, "--golden", golden, "--json"), f"c.jsonl:{CASES}", "torn")


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
