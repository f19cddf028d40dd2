"""`select-best`: which of both arms' answers to one case is better.

The judge reads them in both orders and never learns which is whose. Where it
does not choose the same answer twice, the order decided and not the answers:
a tie. A diagnostic: who wins says nothing of how good either answer is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import Field

from canary.assertions.attempt import abstain
from canary.assertions.excerpt import shorten
from canary.assertions.judged import Votes, as_text
from canary.assertions.lift import Metric, Referenced
from canary.assertions.question import Ask, asked_of, question
from canary.protocols import Grade, Opinion, Question, Tools
from canary.records import Arm, Prompt, Response, Scale

FIRST, SECOND, TIE = "first", "second", "tie"
Key = tuple[str, int]


class SelectBest(Referenced):
    """1 for the better answer, 0 for the other, a half each for a tie.

    An arm that gave no answer at all loses to one that did.
    """

    structural: ClassVar[bool] = False
    asks_judge: ClassVar[bool] = True
    has_opposite: ClassVar[bool] = False
    scale: ClassVar[Scale] = Scale.BOUNDED
    shape: ClassVar[Callable[[Any], Any]] = staticmethod(as_text)
    metric: Metric = "select-best"
    value: Annotated[str, Field(min_length=1)]
    votes: Votes | None = None

    def questions(self, pairs: Sequence[tuple[Prompt, Response]]) -> list[Question]:
        """Every two answers that differ, in both orders."""
        return [asked for case in _cases(pairs).values() for asked in self._orders(*case)]

    def __call__(self, pairs: Sequence[tuple[Prompt, Response]], tools: Tools) -> list[Grade]:
        """One grade per pair, in order."""
        opinions = tools.judge(self.questions(pairs))
        wins = {key: self._won(*case, opinions) for key, case in _cases(pairs).items()}
        return [_grade(response, *wins[response.id, response.repeat]) for _, response in pairs]

    def _orders(self, prompt: Prompt, arms: Mapping[Arm, Response]) -> list[Question]:
        """Baseline first, then candidate first; nothing where there is nothing to choose."""
        if len(arms) < len(Arm) or arms[Arm.BASELINE].output == arms[Arm.CANDIDATE].output:
            return []
        answers = [arms[arm].output for arm in (Arm.BASELINE, Arm.CANDIDATE)]
        return [self._ask(prompt, *answers), self._ask(prompt, *reversed(answers))]

    def _ask(self, prompt: Prompt, first: str, second: str) -> Question:
        task = (
            f"Compare two answers to the question by this criterion: {self.reference(prompt)}\n"
            f'Verdict: "{FIRST}" if the first is better, "{SECOND}" if the second is, "{TIE}" if neither is.'
        )
        quoted = (("question", asked_of(prompt)), (FIRST, first), (SECOND, second))
        return question(Ask(task=task, verdicts=(FIRST, SECOND, TIE), quoted=quoted, votes=self.votes))

    def _won(
        self, prompt: Prompt, arms: Mapping[Arm, Response], opinions: Mapping[str, Sequence[Opinion]]
    ) -> tuple[float | None, str]:
        """The candidate's share of the win, and why; None where the judge does not say."""
        if len(arms) < len(Arm):
            return float(Arm.CANDIDATE in arms), "the other arm gave no answer"
        orders = self._orders(prompt, arms)
        if not orders:
            return 0.5, "both answers are the same"
        said = [_majority(opinions[asked.key]) for asked in orders]
        unknown = [opinion for opinion in said if opinion.verdict is None]
        if unknown:
            return None, unknown[0].reason
        shares = [{FIRST: 0.0, SECOND: 1.0, TIE: 0.5}[said[0].verdict or TIE]]
        shares.append({FIRST: 1.0, SECOND: 0.0, TIE: 0.5}[said[1].verdict or TIE])
        if shares[0] != shares[1]:
            return 0.5, f"a tie: the choice changes with the order ({said[0].verdict}, swapped {said[1].verdict})"
        return shares[0], said[0].reason


def _cases(pairs: Sequence[tuple[Prompt, Response]]) -> dict[Key, tuple[Prompt, dict[Arm, Response]]]:
    """Both arms' answers side by side."""
    found: dict[Key, tuple[Prompt, dict[Arm, Response]]] = {}
    for prompt, response in pairs:
        found.setdefault((response.id, response.repeat), (prompt, {}))[1][response.arm] = response
    return found


def _majority(opinions: Sequence[Opinion]) -> Opinion:
    """What more than half of the votes say; an abstention where missing ones might matter, else a tie."""
    counted = Counter(opinion.verdict for opinion in opinions if opinion.verdict is not None)
    verdict, votes = counted.most_common(1)[0] if counted else (None, 0)
    if 2 * votes > len(opinions):
        return next(opinion for opinion in opinions if opinion.verdict == verdict)
    unknown = [opinion for opinion in opinions if opinion.verdict is None]
    return unknown[0] if unknown else Opinion(verdict=TIE, reason="no choice has more than half of the votes")


def _grade(response: Response, share: float | None, reason: str) -> Grade:
    if share is None:
        return abstain(reason)
    value = share if response.arm is Arm.CANDIDATE else 1.0 - share
    word = "tie" if value == 0.5 else "better" if value else "worse"
    return Grade(value=value, passed=value >= 0.5, reason=shorten(f"{word}: {reason}"))
