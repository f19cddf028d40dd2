"""Closeness of meaning, with the real embedder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import pytest

from canary.assertions import parse
from canary.assertions.similar import cosine, speakable
from canary.models.sentence_transformers import MiniLM
from canary.protocols import Grade, Tools
from canary.records import Prompt, Response, Scale

Make = Callable[..., Any]
Give = Callable[..., list[Grade]]


@pytest.fixture
def grades(minilm: MiniLM, case: Callable[..., Prompt], answer: Callable[..., Response]) -> Give:
    """Grades of several outputs at once by the real embedder."""

    def give(spec: dict[str, Any], *outputs: str, **given: Any) -> list[Grade]:
        pairs = [(case(**given), answer(output)) for output in outputs]
        return parse(spec)(pairs, Tools(embed=lambda: minilm))

    return give


class TestSimilar:
    """`similar`: cosine of embeddings."""

    SPEC: ClassVar[dict[str, Any]] = {"type": "similar", "value": "The parcel arrives on Monday."}

    def test_passes(self, grades: Give) -> None:
        """Other words of the same meaning pass."""
        [given] = grades(self.SPEC, "Your package will be delivered on Monday.")
        assert given.passed is True
        assert given.value is not None
        assert 0.75 <= given.value < 1
        assert given.reason.startswith("cosine 0.")
        assert given.reason.endswith(
            ">= 0.75 to 'The parcel arrives on Monday.' (got 'Your package will be delivered on Monday.')"
        )

    def test_fails(self, grades: Give) -> None:
        """Another subject fails."""
        [given] = grades(self.SPEC, "Bananas are rich in potassium.")
        assert given.passed is False
        assert given.value is not None
        assert given.value < 0.3
        assert " < 0.75 to 'The parcel arrives on Monday.'" in given.reason

    def test_boundary(self, grades: Give) -> None:
        """The same text is worth exactly 1; the closest reference counts; blank is 0."""
        same = {**self.SPEC, "threshold": 1}
        assert [given.value for given in grades(same, self.SPEC["value"], " \n")] == [1.0, 0.0]
        assert grades(same, self.SPEC["value"])[0].passed is True
        several = {"type": "similar", "value": ["Bananas are yellow.", "{{expected}}"]}
        assert grades(several, "Monday", expected="Monday")[0].value == 1.0

    def test_hostile(self, grades: Give, hostile: str) -> None:
        """Anything is embedded, without harm to its neighbours."""
        harmless, given = grades(self.SPEC, self.SPEC["value"], hostile)
        assert harmless.value == 1.0
        assert given.passed is False
        assert given.value is not None
        assert 0 <= given.value < 0.75
        assert given.reason.isprintable()

    def test_negation(self, grades: Give) -> None:
        """`not-similar` is worth 1 minus the cosine, and passes when far from all."""
        [given] = grades({"type": "not-similar", "value": ["Fruit", "Monday"]}, "Monday")
        assert given == Grade(
            value=0.0,
            passed=False,
            reason="expected the opposite: cosine 1 >= 0.75 to 'Monday' (got 'Monday')",
        )

    def test_scale(self) -> None:
        """It lies in 0..1."""
        assert parse(self.SPEC).scale is Scale.BOUNDED


def test_one_question(letters: Any, case: Callable[..., Prompt], answer: Callable[..., Response]) -> None:
    """Each distinct text of a batch is embedded once, in one call."""
    pairs = [(case(str(n)), answer("same" if n % 2 else "other", str(n))) for n in range(100)]
    given = parse({"type": "similar", "value": "same"})(pairs, Tools(embed=lambda: letters))
    assert letters.asked == [["other", "same"]]
    assert [grade.passed for grade in given] == [False, True] * 50


def test_nothing_to_embed(case: Callable[..., Prompt], answer: Callable[..., Response]) -> None:
    """Blank answers do not open the embedder."""
    [given] = parse({"type": "similar", "value": "x"})([(case(), answer(""))], Tools(embed=pytest.fail))
    assert given.value == 0.0


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [([1, 0], [1, 0], 1.0), ([1, 0], [0, 1], 0.0), ([1, 0], [-1, 0], 0.0), ([0.6, 0.8], [1, 0], 0.6)],
)
def test_cosine(left: Sequence[float], right: Sequence[float], expected: float) -> None:
    """Kept in 0..1 and rounded below what machines agree on."""
    assert cosine(np.array(left, np.float32), np.array(right, np.float32)) == expected


def test_cosine_of_nothing() -> None:
    """A vector that is not a number gives none."""
    assert np.isnan(cosine(np.array([np.nan], np.float32), np.array([1.0], np.float32)))


def test_speakable() -> None:
    """Only what cannot be encoded is replaced."""
    assert speakable("naïve \ud800 ok") == "naïve ? ok"
