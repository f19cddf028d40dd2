"""Responses in, scores out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from canary.assertions.scoring import effective_failure, score
from canary.errors import MissingExtra
from canary.protocols import Embedder, Grade, Tools
from canary.records import Arm, ErrorKind, Failure, Prompt, Response, Scale, Score

Case = Callable[..., Prompt]
Answer = Callable[..., Response]

TIMEOUT = Failure(kind=ErrorKind.SERVER, message="timed out")
REFUSED = Failure(kind=ErrorKind.REFUSAL, message="policy")
CONTAINS = {"type": "contains", "value": "x"}


@dataclass(frozen=True, kw_only=True)
class Raw:
    """A plugin that gives whatever its case says."""

    metric: str
    scale: ClassVar[Scale] = Scale.BOUNDED

    def __call__(self, pairs: Sequence[tuple[Prompt, Response]], tools: Tools) -> list[Any]:
        """What `vars.gives` holds; an exception is raised."""
        for prompt, _ in pairs:
            if isinstance(prompt.vars["gives"], Exception):
                raise prompt.vars["gives"]
        return [prompt.vars["gives"] for prompt, _ in pairs]


@dataclass(frozen=True, kw_only=True)
class Binary(Raw):
    """The same on the scale of yes and no."""

    scale: ClassVar[Scale] = Scale.PASS_FAIL


@dataclass(frozen=True, kw_only=True)
class Short(Raw):
    """A plugin that loses grades."""

    def __call__(self, pairs: Sequence[tuple[Prompt, Response]], tools: Tools) -> list[Any]:
        """None at all."""
        return []


PLUGINS: dict[str, type] = {"raw": Raw, "binary": Binary, "short": Short}


def scored(prompt: Prompt, *responses: Response, defaults: Sequence[dict[str, Any]] = (), **more: Any) -> list[Score]:
    """The scores of one case."""
    return score([prompt], responses, defaults, Tools(embed=_no_embedder), PLUGINS, **more)


def _no_embedder() -> Embedder:
    raise MissingExtra("this test", "embeddings")


def brief(scores: Sequence[Score]) -> list[tuple[str, float | None, bool | None]]:
    """Metric, value, passed."""
    return [(item.metric, item.value, item.passed) for item in scores]


def test_scores_follow_the_responses(case: Case, answer: Answer) -> None:
    """One score per metric and response, in their order, `pass` last."""
    prompts = [case("a"), case("b", asserts=[{"type": "f1", "value": "x y"}])]
    responses = [answer("x", "b", repeat=1), answer("x", "a", arm=Arm.BASELINE), answer("y", "a")]
    scores = score(prompts, responses, [CONTAINS], Tools(embed=_no_embedder), {})
    assert [(item.id, item.arm, item.repeat, item.metric, item.value) for item in scores] == [
        ("b", "candidate", 1, "contains", 1.0),
        ("b", "candidate", 1, "f1", pytest.approx(2 / 3)),
        ("b", "candidate", 1, "pass", 1.0),
        ("a", "baseline", 0, "contains", 1.0),
        ("a", "baseline", 0, "pass", 1.0),
        ("a", "candidate", 0, "contains", 0.0),
        ("a", "candidate", 0, "pass", 0.0),
    ]
    assert [item.scale for item in scores[:3]] == ["pass_fail", "bounded", "pass_fail"]


def test_exact(case: Case, answer: Answer) -> None:
    """A case with nothing but `expected` is held against it."""
    assert brief(scored(case(expected="42"), answer("42"))) == [("exact", 1.0, True), ("pass", 1.0, True)]


class TestErrors:
    """An errored response stays in the denominator."""

    def test_every_assertion_loses(self, case: Case, answer: Answer) -> None:
        """Its value is 0 for every assertion, the negated ones too, and no assertion sees it."""
        specs = [CONTAINS, {"type": "not-contains", "value": "x"}, {"type": "raw"}, {"type": "similar", "value": "x"}]
        scores = scored(case(vars={"gives": ValueError()}), answer("", error=TIMEOUT), defaults=specs)
        assert brief(scores) == [
            ("contains", 0.0, False),
            ("not-contains", 0.0, False),
            ("raw", 0.0, False),
            ("similar", 0.0, False),
            ("pass", 0.0, False),
        ]
        assert {item.reason for item in scores[:-1]} == {"error server: 'timed out'"}

    def test_asserted_refusal(self, case: Case, answer: Answer) -> None:
        """A refusal that the case itself asserts is the right answer."""
        prompt, refused = case(asserts=[{"type": "is-refusal"}]), answer("", error=REFUSED)
        assert effective_failure(prompt, refused) is None
        assert brief(scored(prompt, refused)) == [("is-refusal", 1.0, True), ("pass", 1.0, True)]

    def test_other_refusals(self, case: Case, answer: Answer) -> None:
        """Any other refusal is an error: of another case, or by the suite's default alone."""
        refused = answer("", error=REFUSED)
        for spec in ({"type": "not-is-refusal"}, CONTAINS):
            assert effective_failure(case(asserts=[spec]), refused) is REFUSED
            assert brief(scored(case(asserts=[spec]), refused))[-1] == ("pass", 0.0, False)
        assert brief(scored(case(), refused, defaults=[{"type": "is-refusal"}]))[-1] == ("pass", 0.0, False)

    def test_other_errors_of_a_refusing_case(self, case: Case, answer: Answer) -> None:
        """A server that breaks has not refused."""
        prompt, broken = case(asserts=[{"type": "is-refusal"}]), answer("I can't help.", error=TIMEOUT)
        assert effective_failure(prompt, broken) is TIMEOUT
        assert brief(scored(prompt, broken)) == [("is-refusal", 0.0, False), ("pass", 0.0, False)]

    def test_no_error(self, case: Case, answer: Answer) -> None:
        """An answer has no failure."""
        assert effective_failure(case(), answer("x")) is None


def good(value: Any, *, passed: Any = True) -> Grade:
    """A grade as a plugin may give it."""
    return Grade(value=value, passed=passed, reason="said so")


class TestAbstentions:
    """Unknown is neither a loss nor a pass."""

    @pytest.mark.parametrize(
        ("kind", "gives", "reason"),
        [
            ("raw", ValueError("no\nidea"), "ValueError: no\\nidea"),
            ("raw", good(float("nan")), "gave nan, not a finite number: said so"),
            ("raw", good(float("inf")), "gave inf, not a finite number: said so"),
            ("raw", good(1.5), "gave 1.5, outside 0..1: said so"),
            ("raw", good(-0.1), "gave -0.1, outside 0..1: said so"),
            ("raw", good(0.5, passed=None), "gave 0.5, but neither pass nor fail: said so"),
            ("raw", good(None), "said so"),
            ("raw", good("high"), "ValueError: could not convert string to float: 'high': said so"),
            ("raw", 0.5, "gave 0.5, not a grade"),
            ("raw", None, "gave None, not a grade"),
            ("binary", good(0.5), "gave 0.5, not the 0 or 1 of a pass_fail score: said so"),
            ("short", good(1.0), "gave [] for 1 responses, not a grade for each"),
        ],
    )
    def test_plugin(self, case: Case, answer: Answer, kind: str, gives: Any, reason: str) -> None:
        """Whatever a plugin gives that is no grade abstains, and says why."""
        first, conjunction = scored(case(vars={"gives": gives}), answer("x"), defaults=[{"type": kind}])
        assert (first.value, first.passed) == (None, None)
        assert first.reason.startswith(reason)
        assert (conjunction.metric, conjunction.value, conjunction.passed) == ("pass", None, None)
        assert conjunction.reason.startswith(f"{kind}: {reason}")

    @pytest.mark.parametrize("gives", [good(value) for value in (True, 1, 1.0)])
    def test_numbers(self, case: Case, answer: Answer, gives: Grade) -> None:
        """Anything that is a number in range is one."""
        first, _ = scored(case(vars={"gives": gives}), answer("x"), defaults=[{"type": "raw"}])
        assert (first.value, first.passed, type(first.value)) == (1.0, True, float)

    def test_negated(self, case: Case, answer: Answer) -> None:
        """The opposite of unknown is unknown."""
        given = scored(case(vars={"gives": good(None)}), answer("x"), defaults=[{"type": "not-raw"}])
        assert brief(given) == [("not-raw", None, None), ("pass", None, None)]

    def test_broken_embedder(self, case: Case, answer: Answer) -> None:
        """An embedder that breaks abstains for its assertion alone."""

        def broken() -> Embedder:
            raise RuntimeError("CUDA out of memory")

        specs = [CONTAINS, {"type": "similar", "value": "x"}]
        scores = score([case()], [answer("x")], specs, Tools(embed=broken), {})
        assert brief(scores) == [("contains", 1.0, True), ("similar", None, None), ("pass", None, None)]
        assert scores[1].reason.startswith("RuntimeError: CUDA out of memory (at test_scoring.py:")

    def test_missing_library(self, case: Case, answer: Answer) -> None:
        """A library that is not installed stops the run: no response is to blame."""
        with pytest.raises(MissingExtra, match=r"pip install"):
            scored(case(), answer("x"), defaults=[{"type": "similar", "value": "x"}])

    def test_long_reason(self, case: Case, answer: Answer) -> None:
        """A plugin's reason is cut and printable, whatever it holds."""
        gives = Grade(value=1.0, passed=True, reason="\x1b" + "a" * 10_000)
        first, _ = scored(case(vars={"gives": gives}), answer("x"), defaults=[{"type": "raw"}])
        assert len(first.reason) < 500
        assert first.reason.isprintable()


class TestConjunction:
    """Metric `pass`: the case as a whole."""

    @pytest.mark.parametrize(
        ("output", "unknown", "expected"),
        [
            ("x y", False, (1.0, True, "passes all 2")),
            ("x", False, (0.0, False, "y: lacks 'y' (got 'x')")),
            ("x y", True, (None, None, "raw: said so")),
            ("x", True, (0.0, False, "y: lacks 'y' (got 'x')")),
        ],
    )
    def test_of_all(self, case: Case, answer: Answer, output: str, unknown: bool, expected: object) -> None:  # noqa: FBT001
        """1 if all pass, 0 if one fails, unknown if none fails but one abstains."""
        specs: list[dict[str, Any]] = [CONTAINS, {"type": "contains", "value": "y", "metric": "y"}, {"type": "raw"}][
            : 3 if unknown else 2
        ]
        last = scored(case(vars={"gives": good(None)}), answer(output), defaults=specs)[-1]
        assert (last.metric, last.scale) == ("pass", Scale.PASS_FAIL)
        assert (last.value, last.passed, last.reason) == expected

    def test_of_one(self, case: Case, answer: Answer) -> None:
        """Of a single assertion that passes it has the reason."""
        first, last = scored(case(), answer("x"), defaults=[CONTAINS])
        assert last.reason == first.reason == "contains 'x' (got 'x')"


class TestSharedMetric:
    """Several assertions under one name."""

    def test_yes_or_no(self, case: Case, answer: Answer) -> None:
        """Passes iff all of them pass: half a pass is no yes or no."""
        specs = [{**CONTAINS, "metric": "m"}, {"type": "contains", "value": "y", "metric": "m"}]
        assert brief(scored(case(), answer("x y"), defaults=specs))[0] == ("m", 1.0, True)
        first, last = scored(case(), answer("x"), defaults=specs)
        assert (first.value, first.passed) == (0.0, False)
        assert first.reason == "contains 'x' (got 'x'); lacks 'y' (got 'x')"
        assert last.reason == "m: lacks 'y' (got 'x')"

    def test_numbers(self, case: Case, answer: Answer) -> None:
        """The mean of the numbers."""
        specs = [{"type": "f1", "value": "x", "metric": "m"}, {"type": "f1", "value": "z", "metric": "m"}]
        assert brief(scored(case(), answer("x"), defaults=specs)) == [("m", 0.5, False), ("pass", 0.0, False)]

    def test_unknown(self, case: Case, answer: Answer) -> None:
        """A mean over what is known would hide what is not; the case has failed all the same."""
        specs = [{"type": "f1", "value": "z", "metric": "m"}, {"type": "raw", "metric": "m"}]
        given = scored(case(vars={"gives": good(None)}), answer("x"), defaults=specs)
        assert brief(given) == [("m", None, None), ("pass", 0.0, False)]


def test_one_batch(letters: Any, case: Case, answer: Answer) -> None:
    """One assertion sees all of its responses at once, and the embedder all texts of the run."""
    prompts = [case(str(n), expected=f"e{n}", asserts=[{"type": "similar", "value": f"own {n}"}]) for n in range(5)]
    responses = [answer("same", str(n), arm=arm) for arm in Arm for n in range(5)]
    scores = score(prompts, responses, [{"type": "similar", "value": "{{expected}}"}], Tools(embed=lambda: letters), {})
    assert len(letters.asked) == 1
    assert len(letters.asked[0]) == len(set(letters.asked[0])) == 11
    assert len(scores) == 20


def test_build(case: Case, answer: Answer) -> None:
    """Stage `build` scores what needs no model, and nothing where nothing is left."""
    specs = [{"type": "similar", "value": "x"}]
    assert brief(scored(case(asserts=[CONTAINS]), answer("x"), defaults=specs, stage="build")) == [
        ("contains", 1.0, True),
        ("pass", 1.0, True),
    ]
    assert scored(case(), answer("x"), defaults=specs, stage="build") == []


def test_hostile(case: Case, answer: Answer, hostile: str) -> None:
    """Every structural assertion at once, on anything, in printable reasons."""
    specs: list[dict[str, Any]] = [
        CONTAINS,
        {"type": "not-regex", "value": "x+y"},
        {"type": "is-json", "value": {"type": "object"}},
        {"type": "not-is-json"},
        {"type": "f1", "value": "x"},
        {"type": "word-count", "value": {"max": 5}},
        {"type": "not-is-refusal"},
    ]
    scores = scored(case(), answer(hostile), defaults=specs)
    assert len(scores) == 8
    assert all(item.value is not None and item.reason.isprintable() and len(item.reason) < 500 for item in scores)
