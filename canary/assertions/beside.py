"""`{{baseline}}`: what an answer is held against where nobody knows the right one.

Asked R times each, the k-th answers of both arms are held against the next
answer of the baseline, the last against its first. Neither arm's answer is
ever held against itself, so that under "nothing changed" both arms' scores
have one mean: the baseline shows how much it differs from itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from canary.assertions.attempt import abstain
from canary.assertions.template import with_baseline
from canary.protocols import Grade
from canary.records import Arm, Failure, Prompt, Response

Answers = Mapping[str, Sequence[tuple[int, str]]]
"""By case, the baseline's answers with their repeats, in order."""

_ALONE = abstain("the baseline gave no other answer to hold it against")


def baseline_answers(
    pairs: Sequence[tuple[Prompt, Response]], failure: Callable[[Prompt, Response], Failure | None]
) -> Answers:
    """What can be held against, which a blank cannot; `failure` says which responses are no answers."""
    found: dict[str, list[tuple[int, str]]] = {}
    for prompt, response in pairs:
        is_answer = response.arm is Arm.BASELINE and response.output.strip()
        if is_answer and failure(prompt, response) is None:
            found.setdefault(response.id, []).append((response.repeat, response.output))
    return {case: sorted(answers) for case, answers in found.items()}


def beside(prompt: Prompt, response: Response, answers: Answers) -> Prompt | Grade:
    """The case with the baseline's next answer in scope, or an abstention where it gave no other."""
    others = [(repeat, text) for repeat, text in answers.get(response.id, ()) if repeat != response.repeat]
    if not others:
        return _ALONE
    _, text = min(others, key=lambda other: (other[0] < response.repeat, other[0]))
    return with_baseline(prompt, text)
