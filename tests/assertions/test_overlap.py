"""Words shared with a reference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from canary.assertions import parse
from canary.assertions.overlap import token_f1, tokens
from canary.errors import ConfigError
from canary.protocols import Grade
from canary.records import Scale

Give = Callable[..., Grade]


class TestF1:
    """`f1`: harmonic mean of precision and recall over words."""

    SPEC: ClassVar[dict[str, Any]] = {"type": "f1", "value": "the cat sat"}

    def test_passes(self, grade: Give) -> None:
        """Case, punctuation, articles and order do not matter."""
        assert grade(self.SPEC, "Sat: a CAT!") == Grade(
            value=1.0, passed=True, reason="f1 1 >= 0.5 against 'the cat sat' (got 'Sat: a CAT!')"
        )

    def test_fails(self, grade: Give) -> None:
        """One word of five shared with two: precision 1/5, recall 1/2, F1 2/7."""
        given = grade(self.SPEC, "one two three four cat")
        assert given.value == pytest.approx(2 / 7)
        assert given.passed is False
        assert given.reason == "f1 0.286 < 0.5 against 'the cat sat' (got 'one two three four cat')"

    def test_boundary(self, grade: Give) -> None:
        """The threshold itself passes; of several references the best counts."""
        assert grade(self.SPEC, "cat dog").value == 0.5
        assert grade(self.SPEC, "cat dog").passed is True
        assert grade({**self.SPEC, "threshold": 0.51}, "cat dog").passed is False
        assert grade({"type": "f1", "value": ["dog", "cat"]}, "cat").value == 1.0

    def test_hostile(self, grade: Give, hostile: str) -> None:
        """Anything is graded, in one printable line."""
        given = grade(self.SPEC, hostile)
        assert given.value == 0.0
        assert given.reason.isprintable()

    def test_negation(self, grade: Give) -> None:
        """`not-f1` is worth 1 minus the overlap."""
        given = grade({"type": "not-f1", "value": "cat dog"}, "cat bird mouse")
        assert given.value == pytest.approx(0.6)
        assert given.passed is True

    def test_scale(self) -> None:
        """It lies in 0..1."""
        assert parse(self.SPEC).scale is Scale.BOUNDED

    @pytest.mark.parametrize("threshold", [-0.1, 1.1, "0.5", True, float("nan"), None])
    def test_threshold(self, threshold: object) -> None:
        """A threshold that no F1 can have is refused."""
        with pytest.raises(ConfigError, match=r"'assert.threshold' must be "):
            parse({**self.SPEC, "threshold": threshold})


def test_tokens() -> None:
    """SQuAD's tokens: punctuation goes before words are split."""
    assert tokens("The U.S.A. isn't an island") == ["usa", "isnt", "island"]


@pytest.mark.parametrize(
    ("answer", "reference", "expected"),
    [
        (["a"], ["a"], 1.0),
        ([], [], 1.0),
        (["a"], [], 0.0),
        ([], ["a"], 0.0),
        (["a", "a"], ["a"], 2 / 3),  # one of two is shared: precision 1/2, recall 1
        (["a"], ["b"], 0.0),
    ],
)
def test_token_f1(answer: list[str], reference: list[str], expected: float) -> None:
    """Known answers; repeated words count as often as both have them."""
    assert token_f1(answer, reference) == pytest.approx(expected)
