"""`junit.xml`: one test per case, for whatever shows test results.

A projection: the verdict weighs all cases together, this file knows each one
alone. A case fails here when it got worse, which a sound candidate also does
now and then.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from canary.plan import Plan
from canary.records import Arm, Evidence, Prompt, Response, Score, Tier, Verdict
from canary.reporters.escape import show
from canary.reporters.flips import answered, asked

Key = tuple[str, int]
"""A case's id and its repeat."""

_TEXT = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One case, once, with what both arms made of it."""

    prompt: Prompt
    repeat: int
    baseline: Response | None
    candidate: Response | None
    lost: tuple[Score, ...]
    """The candidate's scores that got worse."""
    abstained: tuple[Score, ...]
    """Scores that no judge or embedder gave."""


def render(verdict: Verdict, evidence: Evidence, plan: Plan) -> str:
    """The document: a suite per stratum in the order of their names, a test per case and repeat."""
    root = ET.Element("testsuites", name=show(f"{plan.baseline.name} -> {plan.candidate.name}"))
    suites: dict[str, ET.Element] = {}
    for case in _cases(verdict, evidence, plan):
        name = show(case.prompt.stratum)
        suite = suites.get(name)
        if suite is None:
            suite = suites[name] = ET.SubElement(root, "testsuite", name=name)
            _properties(suite, verdict)
        suite.append(_test(case, name, is_alone=plan.stage == "build"))
    for element in (*suites.values(), root):
        _count(element)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _properties(suite: ET.Element, verdict: Verdict) -> None:
    properties = ET.SubElement(suite, "properties")
    ET.SubElement(properties, "property", name="verdict", value=verdict.verdict.value)
    ET.SubElement(properties, "property", name="reason", value=show(verdict.reason, _TEXT))


def _count(element: ET.Element) -> None:
    tests = element.findall(".//testcase")
    element.set("tests", str(len(tests)))
    for kind, name in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        element.set(name, str(sum(test.find(kind) is not None for test in tests)))


def _cases(verdict: Verdict, evidence: Evidence, plan: Plan) -> Iterator[_Case]:
    """Every case and repeat, stratum by stratum, then by id."""
    deciding = {s.metric for s in verdict.signals if s.kind in {"quality", "floor"} and s.tier is Tier.BLOCKING}
    answers = {(r.id, r.repeat, r.arm): r for r in evidence.responses}
    scores: dict[tuple[str, int, Arm], dict[str, Score]] = defaultdict(dict)
    for score in evidence.scores:
        if score.metric in deciding:
            scores[score.id, score.repeat, score.arm][score.metric] = score
    for prompt in sorted(evidence.prompts, key=lambda prompt: (prompt.stratum, prompt.id)):
        for repeat in range(plan.suite.repeat):
            before, after = (scores[prompt.id, repeat, arm] for arm in Arm)
            yield _Case(
                prompt=prompt,
                repeat=repeat,
                baseline=answers.get((prompt.id, repeat, Arm.BASELINE)),
                candidate=answers.get((prompt.id, repeat, Arm.CANDIDATE)),
                lost=tuple(s for name, s in after.items() if s.passed is False and _stood(before.get(name), plan)),
                abstained=tuple(s for s in (*before.values(), *after.values()) if s.value is None),
            )


def _stood(before: Score | None, plan: Plan) -> bool:
    """Whether the baseline passed; stage `build` asks no baseline."""
    return plan.stage == "build" or (before is not None and before.passed is True)


def _test(case: _Case, suite: str, *, is_alone: bool) -> ET.Element:
    name = show(case.prompt.id) + (f" (repeat {case.repeat})" if case.repeat else "")
    test = ET.Element("testcase", classname=suite, name=name)
    if case.candidate is not None and case.candidate.total_s is not None:
        test.set("time", f"{case.candidate.total_s:.3f}")
    if case.candidate is None or (case.baseline is None and not is_alone):
        missing = "candidate" if case.candidate is None else "baseline"
        ET.SubElement(test, "skipped", message=f"missing evidence: the {missing} has no answer")
    elif case.candidate.error is not None:
        kind, message = case.candidate.error.kind.value, show(case.candidate.error.message, _TEXT)
        ET.SubElement(test, "error", type=kind, message=message)
    elif case.abstained:
        why = "; ".join(f"{show(s.metric)}: {show(s.reason or 'no score', _TEXT)}" for s in case.abstained)
        ET.SubElement(test, "error", type="abstained", message=why)
    elif case.lost:
        why = "; ".join(f"{show(s.metric)}: {show(s.reason or 'failed', _TEXT)}" for s in case.lost)
        ET.SubElement(test, "failure", type="regression", message=why).text = _story(case)
    return test


def _story(case: _Case) -> str:
    facts = [("asked", asked(case.prompt))]
    facts += [(arm.arm.value, answered(arm)) for arm in (case.baseline, case.candidate) if arm is not None]
    return "\n".join(f"{label}: {show(text, _TEXT)}" for label, text in facts)
