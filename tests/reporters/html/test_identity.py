"""What tells two releases apart."""

from __future__ import annotations

from canary.plan import Plan, ReleasePlan
from canary.reporters.html.identity import different_settings, record_lines


def test_what_differs_comes_first(plan: Plan) -> None:
    """Settings are listed by their path, the different ones first, absent ones as such."""
    arms = {
        "baseline": ReleasePlan(name="a", digest="1", release={"engine": "vllm", "sampling": {"top_p": 1.0}}),
        "candidate": ReleasePlan(name="b", digest="2", release={"engine": "vllm", "sampling": {"top_p": 0.5, "n": 2}}),
    }
    settings = different_settings(plan.model_copy(update=arms))

    assert [(s.name, s.baseline, s.candidate, s.differs) for s in settings] == [
        ("sampling.n", "-", "2", True),
        ("sampling.top_p", "1.0", "0.5", True),
        ("engine", "vllm", "vllm", False),
    ]


def test_a_nested_record_is_flat() -> None:
    """Every digest has its path."""
    assert record_lines({"b": {"d": "1"}, "a": "2"}) == (("a", "2"), ("b.d", "1"))
