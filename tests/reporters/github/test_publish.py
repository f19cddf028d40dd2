"""What a run leaves in a workflow: summary, outputs, annotations; and nothing outside of one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from canary.plan import Plan
from canary.records import Decision, Evidence, Signal, Verdict
from canary.reporters.github.comment import BUDGET, Frame, render
from canary.reporters.github.publish import publish, write_summary

FRAME = Frame(sha="a" * 40, run_url="https://github.example/r/1", record="f" * 64)

HOSTILE = (
    "@octocat <img src=https://evil.example/x.png> [click](https://evil.example) ![x](https://evil.example/y.png)\n\n"
    "</pre></details><script>alert(1)</script>\n::error::owned\n`@octocat` | a | b |\r\n<!-- gate:x -->\x00\ud800%0A"
)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run directory as far as a publisher looks into it."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run/manifest.json").write_bytes(b"{}\n")
    return tmp_path / "run"


@pytest.fixture
def rollback(make_verdict: Callable[..., Verdict], lost_lookup: Signal, open_code: Signal) -> Verdict:
    """One stratum lost."""
    return make_verdict(Decision.ROLLBACK, lost_lookup, open_code, reason="lookup is lost")


def test_a_workflow_gets_all_of_it(
    run: Path,
    rollback: Verdict,
    make_evidence: Callable[..., Evidence],
    plan: Plan,
    environment: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Summary, outputs and annotations on lines; the standard output stays free for the verdict."""
    golden = tmp_path / "golden/prompts.jsonl"
    golden.parent.mkdir()
    golden.write_text("\n" + "".join(json.dumps({"id": f"lookup-{i}"}) + "\n" for i in range(1, 5)))
    written = {"suite": plan.suite.model_copy(update={"golden_sets": (str(golden.parent),)}), "pipeline": "p.yaml"}
    for name, value in {**environment("push"), "GITHUB_WORKSPACE": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    said = list(publish(run, rollback, make_evidence(), plan.model_copy(update=written)))
    printed = capfd.readouterr()

    assert said == []
    assert printed.out == ""
    assert (tmp_path / "summary.md").read_text().startswith("> [!CAUTION]")
    outputs = dict(line.split("=", 1) for line in (tmp_path / "output").read_text().splitlines())
    assert outputs["verdict"] == "rollback"
    assert json.loads(outputs["regressed-strata"]) == ["lookup"]
    assert Path(outputs["report-path"]) == run
    assert len(outputs["record-sha256"]) == 64
    errors = [line for line in printed.err.splitlines() if line.startswith("::error")]
    assert len(errors) == 4
    assert "file=p.yaml,line=1" in errors[0]
    assert "title=pass lost%3A lookup-1,file=golden/prompts.jsonl,line=2" in errors[1]


def test_silent_outside_of_a_workflow(
    run: Path, rollback: Verdict, make_evidence: Callable[..., Evidence], plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is written or asked anywhere else, token or not."""
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    monkeypatch.setenv("GITHUB_TOKEN", "ghp_x")

    assert list(publish(run, rollback, make_evidence(), plan)) == []


def test_nowhere_to_write_is_no_fault(
    run: Path,
    rollback: Verdict,
    make_evidence: Callable[..., Evidence],
    plan: Plan,
    environment: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A runner without summary and outputs, as old ones are, gets neither and no complaint."""
    for name, value in environment("push").items():
        monkeypatch.setenv(name, value)
    for name in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT", "GITHUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)

    assert list(publish(run, rollback, make_evidence(), plan)) == []


def test_a_full_summary_is_cut_at_a_paragraph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What others wrote before counts towards GitHub's limit."""
    file = tmp_path / "summary.md"
    file.write_text("x" * 1_000_000)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(file))
    write_summary("the verdict\n\n" + "<pre>\nlong\n</pre>\n\n" * 10_000)
    added = file.read_text()[1_000_000:]

    assert file.stat().st_size < 1 << 20
    assert added.startswith("the verdict\n\n<pre>")
    assert added.count("<pre>") == added.count("</pre>")
    assert added.endswith("\n\nThis summary is full; `verdict.json` and the run directory have the rest.\n")


def test_the_comment_stays_in_its_budget(
    make_signal: Callable[..., Signal],
    make_verdict: Callable[..., Verdict],
    make_evidence: Callable[..., Evidence],
    plan: Plan,
) -> None:
    """Thousands of signals and outputs of megabytes: the verdict first, the rest cut."""
    signals = [make_signal(name=f"quality/{'ж' * 90}{i}/pass", reason="日" * 5000) for i in range(3000)]
    cases = {f"case-{i}": ("lookup", "q", "x", "x", "日" * 1_000_000) for i in range(50)}
    text = render(
        make_verdict(Decision.HOLD, *signals, reason="x" * 1_000_000), make_evidence(cases=cases), plan, FRAME
    )

    assert len(text.encode()) < BUDGET
    assert text.startswith("> [!WARNING]\n> **hold**")
    assert "And 2,985 more in the step's summary." in text
    assert "This run: 100 answers" in text


def test_hostile_text_is_inert(
    make_signal: Callable[..., Signal],
    make_verdict: Callable[..., Verdict],
    make_evidence: Callable[..., Evidence],
    plan: Plan,
) -> None:
    """It stands in code spans and `<pre>` alone: no tag, mention, link or marker of its own."""
    verdict = make_verdict(Decision.ROLLBACK, make_signal(name=f"quality/{HOSTILE}/pass"), reason=HOSTILE)
    text = render(verdict, make_evidence(outputs={"lookup-1": HOSTILE}), plan, FRAME)
    pre = [part.split("</pre>")[0] for part in text.split("<pre>")[1:]]
    outside = text
    for inside in pre:
        outside = outside.replace(inside, "")
        assert "<" not in inside
    lines = [line for line in outside.splitlines() if "octocat" in line]

    assert all("``" in line for line in lines)
    assert not any(line.startswith("::") for line in text.splitlines())
    assert "<!-- gate:x -->" not in "".join(pre)


def test_the_first_screen(
    rollback: Verdict,
    make_verdict: Callable[..., Verdict],
    make_evidence: Callable[..., Evidence],
    make_signal: Callable[..., Signal],
    plan: Plan,
    golden: Callable[[str, str], None],
) -> None:
    """The whole comment of a rollback with something that got better."""
    better = make_signal(
        name="quality/sizes/pass", stratum="sizes", candidate=1.0, estimate=0.1, low=0.04, high=0.2, margin=0.1
    )
    verdict = make_verdict(Decision.ROLLBACK, *rollback.signals, better, reason="lookup is lost")
    golden("github-comment.stdout", render(verdict, make_evidence(), plan, FRAME))
