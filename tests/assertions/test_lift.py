"""What assertions are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import pytest

from canary.assertions.lift import Lifted, at_least, yes_or_no
from canary.protocols import Grade, Tools
from canary.records import Prompt, Response, Scale


class Picky(Lifted):
    """Cannot read numbers."""

    scale: ClassVar[Scale] = Scale.PASS_FAIL

    def grade(self, prompt: Prompt, response: Response) -> Grade:
        """Pass on words."""
        if response.output.isdigit():
            raise ArithmeticError(response.output)
        return yes_or_no("a word", passed=True)


def test_one_response_at_a_time(case: Callable[..., Prompt], answer: Callable[..., Response]) -> None:
    """The response on which it raises abstains, its neighbours do not."""
    pairs = [(case(), answer(output)) for output in ("a", "1", "b")]
    grades = Picky(metric="picky")(pairs, Tools(embed=pytest.fail))
    assert [grade.value for grade in grades] == [1.0, None, 1.0]
    assert grades[1].reason.startswith("ArithmeticError: 1 (at test_lift.py:")


def test_unfinished(case: Callable[..., Prompt], answer: Callable[..., Response]) -> None:
    """An assertion without `grade` passes nothing."""
    [grade] = Lifted(metric="none")([(case(), answer("a"))], Tools(embed=pytest.fail))
    assert grade == Grade(value=None, passed=None, reason="NotImplementedError: Lifted grades nothing")


@pytest.mark.parametrize(("value", "passed", "sign"), [(0.5, True, ">="), (0.4999, False, "<"), (1.0, True, ">=")])
def test_at_least(value: float, passed: bool, sign: str) -> None:  # noqa: FBT001
    """The threshold itself passes, and the reason has both numbers."""
    grade = at_least(value, 0.5, "f1", "")
    assert (grade.value, grade.passed) == (value, passed)
    assert grade.reason == f"f1 {value:.3g} {sign} 0.5"
