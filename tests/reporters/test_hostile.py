"""Text by others neither breaks nor styles a report."""

from __future__ import annotations

import dataclasses
import io
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from canary.plan import Plan
from canary.records import Decision, ErrorKind, Evidence, Failure, Signal, Verdict
from canary.reporters.markdown import render as render_markdown
from canary.reporters.terminal import on_console, render

MakeEvidence = Callable[..., Evidence]
MakeVerdict = Callable[..., Verdict]

HOSTILE = {
    "escape": "\x1b[2J\x1b[31mred\x1b]0;title\x07\x1b]8;;http://evil.example\x07x\x1b]8;;\x07\x9b1m",
    "lines": "a\n\nhold: all is well\r\rpromote: fake\x0b\x0c\x85\u2028\u2029",
    "bidi": "\u202eevil\u202c \u2066\u2069\u200f\u200e\u061c",
    "unseen": "a\u200bb\ufeff\u00ad\u2060\U000e0041\u3164",
    "surrogate": "\ud800\udfff",
    "html": "</script></pre></details><script>alert(1)</script><img src=x onerror=alert(1)><!--",
    "markdown": "**bold** [link](http://evil.example) ![i](http://evil.example/i.png) | a | `` ` ``` ~~x~~ # h",
    "mention": "@octocat #1 GH-1 octo/repo#2 http://evil.example www.evil.example mail@evil.example",
    "markup": "[bold red]rich[/] [link=http://evil.example]x[/link] :smile: [/]",
    "formula": '=HYPERLINK("http://evil.example")\t+1\t-1\t@SUM(A1)',
    "template": "{{ 7*7 }} {% raw %} %(x)s {0} $HOME `id`",
    "long": "x" * 10_000_000,
    "zalgo": "z" + "\u0335\u0321\u0489" * 500,
    "nul": "\x00\x7f\x08\x08\x08",
}
SGR = re.compile(r"\x1b\[[0-9;]*m")
OURS = re.compile(r"\x1b\[(0|1|2|1;3[123]|3[123])m")


@pytest.fixture(params=sorted(HOSTILE))
def hostile(request: pytest.FixtureRequest) -> str:
    """One nasty text at a time."""
    return HOSTILE[request.param]


@pytest.fixture
def verdict(hostile: str, make_verdict: MakeVerdict, lost_lookup: Signal, open_code: Signal) -> Verdict:
    """The text stands wherever others' text can stand."""
    fields: dict[str, Any] = {
        "name": f"quality/{hostile}/pass",
        "reason": hostile,
        "warnings": (hostile,),
        "runbook": hostile,
    }
    return make_verdict(
        Decision.HOLD,
        dataclasses.replace(lost_lookup, **fields, stratum="lookup"),
        dataclasses.replace(open_code, kind="floor", metric=hostile, baseline=0.8),
        reason=hostile,
        stage=hostile,
        warnings=(hostile,),
        baseline=dataclasses.replace(make_verdict(Decision.HOLD).baseline, name=hostile),
    )


@pytest.fixture
def evidence(hostile: str, make_evidence: MakeEvidence) -> Evidence:
    """The text is an id, a question, an answer, an error and a score's reason."""
    cases = {
        hostile: ("lookup", hostile, "7", "7", hostile),
        "lookup-2": ("lookup", "q", "7", "7", "x"),
        "lookup-3": ("lookup", "q", hostile, hostile, ""),
    }
    made = make_evidence(cases=cases, errors={"lookup-2": Failure(kind=ErrorKind.SERVER, message=hostile)})
    scores = tuple(dataclasses.replace(score, reason=hostile) for score in made.scores)
    return dataclasses.replace(made, scores=scores)


def assert_inert(text: str) -> None:
    """Nothing but printable characters and our own line ends."""
    unseen = {c for c in text if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}}

    assert unseen <= {"\n"}
    text.encode()


def test_plain(verdict: Verdict, evidence: Evidence, plan: Plan) -> None:
    """The piped report has as many lines as with harmless text, and the true verdict last."""
    text = render(verdict, evidence, plan)

    assert_inert(text)
    assert len(text) < 100_000
    assert [line for line in text.splitlines() if line.startswith(("promote:", "rollback:"))] == []
    assert text.splitlines()[-1].startswith("hold: ")


def test_shape(verdict: Verdict, evidence: Evidence, plan: Plan) -> None:
    """No text adds or takes a line."""
    labels = ["asked", "expected", "baseline", "candidate", "because"]
    lines = render(verdict, evidence, plan).splitlines()

    assert [line.split()[0] for line in lines if line.startswith("    ") and line.split()[0] in labels] == labels * 3
    assert len(lines) < 60


def test_styled(verdict: Verdict, evidence: Evidence, plan: Plan) -> None:
    """Every escape sequence on a terminal is one of ours."""
    console = Console(file=io.StringIO(), width=100, force_terminal=True, color_system="standard", _environ={})
    text = on_console(console)(verdict, evidence, plan)

    assert all(OURS.fullmatch(code) for code in SGR.findall(text))
    assert_inert(SGR.sub("", text))


def test_markdown(verdict: Verdict, evidence: Evidence, plan: Plan) -> None:
    """Outside code spans, code blocks and `<pre>` only our own words are left."""
    text = render_markdown(verdict, evidence, plan)
    folded = re.sub(r"<pre>\n[^<>]*\n</pre>", "", text)
    rest = re.sub(r"(?<!`)(`+)(?!`)(?:(?!\1(?!`)).|(?<=`)\1)*?(?<!`)\1(?!`)", "", folded)
    rest = re.sub(r"(?m)^    .*$", "", rest)
    rest = re.sub(r"<code>[^<>]*</code>", "", rest)

    assert_inert(text)
    assert len(text) < 200_000
    assert "evil" not in rest
    assert "@" not in rest
    assert set(re.findall(r"</?\w+", rest)) <= {"<details", "</details", "<summary", "</summary", "<br"}


def test_markdown_table_keeps_its_columns(verdict: Verdict, evidence: Evidence, plan: Plan) -> None:
    """Every row of the table has as many cells as its head."""
    lines = render_markdown(verdict, evidence, plan).splitlines()
    rows = [line for line in lines if line.startswith("| ")]

    assert len(rows) == 3
    assert {len(re.findall(r"(?<!\\)(?:\\\\)*\|", row)) for row in rows} == {10}


def test_end_to_end(hostile: str, canary: Callable[..., Any], write_lines: Callable[..., Path], tmp_path: Path) -> None:
    """From files to files: a hostile candidate loses every case and breaks nothing."""
    text = hostile[:1_000_000]
    golden = [{"id": f"c{i}", "vars": {"i": i, "q": text[:1000]}, "expected": "7"} for i in range(12)]
    before = write_lines("before.jsonl", [{"id": f"c{i}", "output": "7"} for i in range(12)])
    after = write_lines(
        "after.jsonl",
        [{"id": f"c{i}", "output": text} for i in range(11)]
        + [{"id": "c11", "error": {"kind": "server", "message": text}}],
    )
    ran = canary("compare", before, after, "--golden", write_lines("golden.jsonl", golden), "--out", tmp_path / "run")
    as_json = canary("compare", before, after, "--golden", tmp_path / "golden.jsonl", "--json")

    assert ran.status == as_json.status == 1
    assert_inert(ran.out + ran.err)
    assert_inert((tmp_path / "run" / "summary.md").read_text(encoding="utf-8"))
    assert as_json.out == (tmp_path / "run" / "verdict.json").read_text(encoding="utf-8")
    assert as_json.out.isascii()
    assert as_json.verdict["verdict"] == "rollback"
    assert ran.out.splitlines()[-1].startswith("rollback: quality/all/pass: ")
