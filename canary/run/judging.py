"""What judging will take, said before a token is spent."""

from __future__ import annotations

from collections.abc import Iterator

from canary.assertions import load_plugins
from canary.assertions.asking import foreseen
from canary.assertions.binding import bind
from canary.assertions.template import with_baseline
from canary.pipeline import Judge
from canary.protocols import Question
from canary.records import Arm, Response
from canary.run.judge import CHARACTERS_A_TOKEN, tokens_of
from canary.run.judged import judged_cases
from canary.run.load import Loaded
from canary.signals.wording import dollars


def judging_lines(loaded: Loaded, answer_tokens: int) -> Iterator[str]:
    """Questions, tokens and money that judging takes at most, and whether its budget holds them.

    `answer_tokens` is what an answer of the releases takes to read.
    """
    judge = loaded.suite.judge
    if judge is None or not loaded.plan.judges:
        return
    asked = _questions(loaded, answer_tokens)
    votes = [question.votes or judge.votes for question in asked]
    reads = sum((tokens_of(each) + answer_tokens) * count for each, count in zip(asked, votes, strict=True))
    writes = sum(votes) * judge.release.sampling.max_tokens
    price = judge.release.token_price
    usd = 0.0 if price is None else price.of(reads, writes)
    cases = len(judged_cases(loaded.suite, loaded.golden, loaded.plan.seed))
    yield (
        f"judge {judge.release.name!r}: at most {sum(votes):,} questions about {cases:,} cases, about {reads:,} input "
        f"tokens, at most {writes:,} output tokens{'' if price is None else f', at most {dollars(usd)}'}"
    )
    yield from _over_budget(judge, reads + writes, usd)


def _questions(loaded: Loaded, answer_tokens: int) -> list[Question]:
    """What will be asked if no two answers are equal; the answers are left blank, the baseline's beside them is not."""
    suite, prompts = loaded.suite, loaded.golden.prompts
    chosen = judged_cases(suite, loaded.golden, loaded.plan.seed)
    bound = bind(prompts, suite.assertions, load_plugins(suite.plugins), loaded.plan.stage, chosen)
    arms, beside = list(Arm), "x" * answer_tokens * CHARACTERS_A_TOKEN
    return [
        question
        for prompt in (with_baseline(prompt, beside) for prompt in prompts)
        for assertion in bound[prompt.id].assertions
        for repeat in range(suite.repeat)
        for question in foreseen(
            [(assertion, [(prompt, Response(id=prompt.id, arm=arm, output=arm, repeat=repeat)) for arm in arms])]
        )
    ]


def _over_budget(judge: Judge, tokens: int, usd: float) -> Iterator[str]:
    """What does not fit, since a vote that is not cast is missing evidence."""
    over = "judge: the budget {} may end before the questions do; what is not asked is missing evidence"
    if judge.max_tokens is not None and tokens > judge.max_tokens:
        yield over.format(f"'max_tokens: {judge.max_tokens}'")
    if judge.max_usd is not None and usd > judge.max_usd:
        yield over.format(f"'max_usd: {judge.max_usd:g}'")
