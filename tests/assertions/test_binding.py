"""Which assertions grade which case."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from canary.assertions.binding import bind
from canary.errors import ConfigError, GoldenSetError
from canary.records import Prompt, Scale

Case = Callable[..., Prompt]

CONTAINS = {"type": "contains", "value": "x"}


def metrics(prompt: Prompt, defaults: list[dict[str, Any]], stage: str = "staging") -> list[str]:
    """The metrics of one case, in order."""
    return list(bind([prompt], defaults, {}, stage)[prompt.id].metrics)


def test_defaults_then_own(case: Case) -> None:
    """A case is graded by the suite's assertions and by its own."""
    prompt = case(expected="x", asserts=[{"type": "is-json"}])
    assert metrics(prompt, [CONTAINS]) == ["contains", "is-json"]


def test_expected_alone(case: Case) -> None:
    """Equality with `expected` where there is nothing else, metric `exact`."""
    assert metrics(case(expected="x"), []) == ["exact"]
    assert metrics(case(expected="x"), [CONTAINS]) == ["contains"]


def test_nothing_grades(case: Case) -> None:
    """Every case that nothing grades is named."""
    with pytest.raises(GoldenSetError) as caught:
        bind([case("a"), case("b", expected="x"), case("c")], [], {}, "staging")
    assert caught.value.problems == (
        "case 'a': nothing grades it: it has neither assertions nor 'expected'",
        "case 'c': nothing grades it: it has neither assertions nor 'expected'",
    )


def test_equal_specs_are_one_assertion(case: Case) -> None:
    """Read once for all cases, and applied once to a case that repeats a default."""
    prompts = [case(str(n), asserts=[dict(CONTAINS)]) for n in range(50)]
    bound = bind(prompts, [CONTAINS], {}, "staging")
    assert {len(item.assertions) for item in bound.values()} == {1}
    assert len({id(item) for item in bound.values()}) == 1


def test_build_is_structural(case: Case) -> None:
    """Stage `build` leaves out what needs a model or a user's code."""
    prompt = case(expected="x", asserts=[{"type": "similar", "value": "x"}, {"type": "not-contains", "value": "y"}])
    python = {"type": "python", "value": "os.path:join"}
    assert metrics(prompt, [python], "build") == ["not-contains"]
    assert metrics(prompt, [python]) == ["python", "similar", "not-contains"]
    assert metrics(case(asserts=[{"type": "similar", "value": "x"}]), [], "build") == []


def test_several_of_one_metric(case: Case) -> None:
    """They share the metric's entry."""
    prompt = case(asserts=[{**CONTAINS, "metric": "format"}, {"type": "is-json", "metric": "format"}])
    assert bind([prompt], [], {}, "staging")["one"].metrics == {"format": (Scale.PASS_FAIL, (0, 1))}


@pytest.mark.parametrize("together", [True, False])
def test_one_metric_of_two_scales(case: Case, together: bool) -> None:  # noqa: FBT001
    """A metric is one kind of number in the whole run, or no mean makes sense."""
    first, second = {**CONTAINS, "metric": "m"}, {"type": "f1", "value": "x", "metric": "m"}
    prompts = (
        [case("a", asserts=[first, second])] if together else [case("a", asserts=[first]), case("b", asserts=[second])]
    )
    with pytest.raises(ConfigError, match=r"metric 'm' must be of one kind \(got bounded and pass_fail\)"):
        bind(prompts, [], {}, "staging")


def test_broken_defaults(case: Case) -> None:
    """All of them at once, each with its place in the suite."""
    with pytest.raises(ConfigError) as caught:
        bind([case()], [{"type": "f1", "value": ""}, CONTAINS, {"type": "what"}], {}, "staging")
    assert caught.value.problems[0].startswith("'assert[0].value' must be ")
    assert caught.value.problems[1].startswith("'assert[2].type' is no assertion we know: 'what'")


def test_broken_case(case: Case) -> None:
    """The golden set's mistakes are named by the case."""
    with pytest.raises(GoldenSetError, match=r"^case 'a': 'assert\[1\].value' is required$"):
        bind([case("a", asserts=[CONTAINS, {"type": "equals"}])], [], {}, "staging")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"type": "equals", "value": "{{expected}}"}, "cannot be filled in from the case: 'expected' is undefined"),
        ({"type": "not-contains", "value": "{{word}}"}, "must be a text that is not empty, or a number (got '')"),
        ({"type": "contains-any", "value": "{{words}}"}, "must be a list of texts that is not empty (got [])"),
        ({"type": "regex", "value": "{{pattern}}"}, "must be a regular expression"),
        ({"type": "is-json", "value": "{{word}}"}, "must be a JSON schema: an object"),
    ],
)
def test_templates_are_filled_beforehand(case: Case, spec: dict[str, Any], message: str) -> None:
    """A reference that a case cannot give is found before a token is spent."""
    prompt = case("a", vars={"word": "", "words": [], "pattern": "("})
    with pytest.raises(GoldenSetError) as caught:
        bind([prompt], [spec], {}, "staging")
    assert str(caught.value).startswith("case 'a': the value of ")
    assert message in str(caught.value)
