"""A run whose answers are read by a judge, over real HTTP: how often it is asked, and what of it is kept."""

from __future__ import annotations

import asyncio
import io
from collections import Counter
from collections.abc import Callable
from typing import Any

from canary.assertions.question import Ask, question
from canary.pipeline import Judge
from canary.run.judge import Bench
from canary.run.judgements import Judgements
from canary.run.progress import Screen
from tests.judging.conftest import Make, Start, answer_in, verdict


def test_votes_are_counted_and_a_split_below_the_threshold_fails(judge_server: Start, workspace: Make) -> None:
    """Three votes a question, each with a seed of its own; one yes of three is a no."""
    seen: Counter[str] = Counter()

    def say(body: dict[str, Any]) -> str:
        seen[answer_in(body)] += 1
        return verdict("yes" if seen[answer_in(body)] == 1 else "no")

    judge = judge_server(say)
    made = workspace(judge.url)
    made.write(judge="  votes: 3\n  concurrency: 1\n")
    made.run()

    assert len(judge.asked) == 360
    polite = [score for score in made.last("scores.jsonl") if score["metric"] == "polite"]
    assert {score["value"] for score in polite} == {0.0}
    assert polite[0]["reason"].startswith("no (1 of 3 votes)")


def test_a_budget_is_never_overspent(judge_server: Start, workspace: Make) -> None:
    """What does not fit into it is not asked, and abstains."""
    judge = judge_server(lambda _: verdict("yes"))
    made = workspace(judge.url)
    made.write(judge="  max_tokens: 3000\n")

    ran = made.run()

    said = made.last("judgements.jsonl")
    assert 0 < sum(line["input_tokens"] + line["output_tokens"] for line in said) <= 3000
    assert "the judge's budget of this run is spent (max_tokens: 3000)" in ran.err
    assert ran.signal("quality/all/polite")["status"] == "inconclusive"


def test_money_is_a_budget_too(judge_server: Start, workspace: Make) -> None:
    """At ten dollars a million tokens, a cent is a thousand of them."""
    judge = judge_server(lambda _: verdict("yes"))
    made = workspace(judge.url)
    made.write(judge="  max_usd: 0.02\n")
    made.run()

    assert 0 < sum(line["cost_usd"] for line in made.last("judgements.jsonl")) <= 0.02


def test_only_a_stratified_draw_is_judged_where_asked_for(judge_server: Start, workspace: Make) -> None:
    """Both strata are in it, and who is not drawn has no score: that is no abstention."""
    judge = judge_server(lambda _: verdict("yes"))
    made = workspace(judge.url)
    made.write(judge="  cases: 30\n")

    ran = made.run()

    assert len(judge.asked) == 30
    assert [ran.signal(f"quality/{stratum}/polite")["n"] for stratum in ("all", "a", "b")] == [30, 15, 15]
    assert "missing" not in ran.signal("quality/all/polite")["reason"]
    assert ran.signal("quality/all/pass")["n"] == 120


def test_another_run_does_not_ask_again(judge_server: Start, workspace: Make) -> None:
    """Verdicts are cached beside the runs, by everything the judge reads; the new run's record is whole."""
    judge = judge_server(lambda _: verdict("yes"))
    made = workspace(judge.url)
    made.write()
    made.run()
    made.run()

    assert len(judge.asked) == 120
    assert len(made.last("judgements.jsonl")) == 120
    assert all(line["cached"] for line in made.last("judgements.jsonl"))

    made.write(asserts='[{type: llm-rubric, value: "is short", metric: polite}]')
    made.run()
    assert len(judge.asked) == 240


def test_a_replay_needs_no_judge(judge_server: Start, workspace: Make, canary: Callable[..., Any]) -> None:
    """Scores were stored; the verdict is the same to the byte."""
    judge = judge_server(lambda _: verdict("yes"))
    made = workspace(judge.url)
    made.write()
    ran = made.run()
    run = made.newest
    asked = len(judge.asked)

    again = canary("replay", run, "--json")

    assert again.out == ran.out
    assert len(judge.asked) == asked
    assert canary("verify", run).status == 0


def test_a_cut_run_asks_only_what_nobody_has_answered(
    judge_server: Start, workspace: Make, canary: Callable[..., Any]
) -> None:
    """A torn last line of what the judge said is asked again, the rest is not."""
    judge = judge_server(lambda _: verdict("yes"))
    made = workspace(judge.url)
    made.write()
    ran = made.run()
    run = made.newest
    for name in ("manifest.json", "verdict.json", "summary.md", "scores.jsonl"):
        (run / name).unlink()
    (run.parent / ".judgements.jsonl").unlink()
    lines = (run / "judgements.jsonl").read_bytes().splitlines(keepends=True)
    (run / "judgements.jsonl").write_bytes(b"".join(lines[:100]) + lines[100][:40])

    resumed = canary("run", "--resume", run, "--json")

    assert len(judge.asked) == 140
    assert resumed.out == ran.out


def test_a_broken_line_of_what_the_judge_said_is_named(
    judge_server: Start, workspace: Make, canary: Callable[..., Any]
) -> None:
    """No crash explains it, so it is refused with file and line; in the cache it is as good as none."""
    judge = judge_server(lambda _: verdict("yes"))
    made = workspace(judge.url)
    made.write()
    made.run()
    run = made.newest
    (run / "manifest.json").unlink()
    (run / "judgements.jsonl").write_text('{"judge": 1}\n')
    (run.parent / ".judgements.jsonl").write_text("nonsense\n")

    resumed = canary("run", "--resume", run, "--json")

    assert resumed.status == 2
    assert f"{run}/judgements.jsonl:1: " in resumed.err
    made.run()
    assert len(judge.asked) == 240


def test_a_suite_that_asks_no_judge_but_needs_one_is_a_mistake(workspace: Make, canary: Callable[..., Any]) -> None:
    """Found before a token is spent."""
    made = workspace("http://127.0.0.1:9/v1")
    made.write()
    (made.folder / "suite.yaml").write_text("golden_sets: [golden]\nassert: [{type: llm-rubric, value: is polite}]\n")

    ran = canary("plan", made.folder / "pipeline.yaml")

    assert ran.status == 2
    assert "'judge' must be given in the suite" in ran.err


def test_a_look_may_ask_while_the_run_has_a_loop(judge_server: Start) -> None:
    """Answers are scored in pauses of the run, inside of its event loop."""
    judge = judge_server(lambda _: verdict("yes"))
    release = {"name": "strict", "engine": "openai", "model": "m", "base_url": judge.url}
    bench = Bench(Judge.model_validate({"release": release}), Judgements.open(None, None), Screen(io.StringIO()))
    asked = question(Ask(task="Property: is short", verdicts=("yes", "no"), quoted=(("answer", "x"),), votes=2))

    async def look() -> list[str | None]:
        return [opinion.verdict for opinion in bench([asked])[asked.key]]

    assert asyncio.run(look()) == ["yes", "yes"]
    assert len(judge.asked) == 2


def test_a_plan_says_what_judging_takes(judge_server: Start, workspace: Make, canary: Callable[..., Any]) -> None:
    """Every vote on both arms' answers, both orders of a choice, and a budget that will not do; nobody is asked."""
    judge = judge_server(lambda _: verdict("yes"))
    made = workspace(judge.url)
    asserts = "[{type: llm-rubric, value: is polite}, {type: select-best, value: is kinder, votes: 1}]"
    made.write(asserts=asserts, judge="  votes: 3\n  cases: 30\n  max_usd: 0.01\n")

    planned = canary("plan", made.folder / "pipeline.yaml", "--allow-underpowered")

    assert planned.status == 0, planned.err
    said = " ".join(planned.out.split())
    assert "judge 'strict': at most 240 questions about 30 cases, about " in said  # 30 x (2 arms x 3 votes + 2 orders)
    assert "at most 24,000 output tokens, at most $" in said
    assert "judge: the budget 'max_usd: 0.01' may end before the questions do" in said
    assert judge.asked == []


def test_compare_asks_the_judge_and_keeps_what_it_said(
    judge_server: Start, workspace: Make, canary: Callable[..., Any]
) -> None:
    """Recorded outputs are judged like any other."""
    judge = judge_server(lambda _: verdict("yes"))
    made = workspace(judge.url)
    made.write()
    files = (made.folder / "v1.jsonl", made.folder / "v2.jsonl")

    ran = canary("compare", *files, "--suite", made.folder / "suite.yaml", "--json", "--out", made.folder / "kept")

    assert ran.signal("quality/all/polite")["candidate"] == 1.0
    assert len((made.folder / "kept" / "judgements.jsonl").read_text().splitlines()) == 120
    assert canary("verify", made.folder / "kept").status == 0
