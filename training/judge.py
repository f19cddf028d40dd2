"""Makes two small judges: one that reads answers well enough to be trusted, and one stopped far too early.

    python -m training.judge                  # both, about six minutes of one quiet core
    python -m training.judge --measure        # only re-measure the shipped judges

A judge is the good candidate of `training/train.py`, trained on with the very turns that `canary` sends a judge:
the question, the answer, and a rubric that holds the reference. Right answers are those of `training/tasks.py`;
wrong ones are the same with a part exchanged. The turns are long and mostly constant, so the tokenizer has a token
for each constant sentence and leaves the boundary marks out; what the judge is asked is not changed. Nothing here
reads the golden set except `measure`, after training.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from canary.assertions.judged import LlmRubric
from canary.records import Arm, Prompt, Response
from training.tasks import CITIES, COLOURS, ITEMS, NAMES, ROOT, TASKS, Case, training_cases
from training.train import CHECKPOINTS, Stage, answers, golden_lines, load, save_model, save_tokenizer
from training.train import train as train_rows

JUDGES = ROOT / "pipelines" / "judges"
RUBRIC = "It says the same as: {{expected}}"
"""The rubric of `evals/judged.yaml`; the judges know no other."""
SENTENCES = (
    "Property: It says the same as: ",
    '\nVerdict: "yes" if the answer has the property, else "no".\n\n',
    "<question>\n",
    "\n</question>\n\n",
    "<answer>\n",
    "\n</answer>",
)
YES, NO = ('{"reason": "it agrees", "verdict": "yes"}', '{"reason": "it differs", "verdict": "no"}')
MARK = " [0-9a-f]{16}(?=>)"
STAGES = (
    Stage(name="fit", seed=11, steps=400, peak=2e-3, horizon=400, cases=dict.fromkeys(TASKS, 16), start="good"),
    Stage(name="poor", seed=12, steps=4, peak=2e-4, horizon=400, cases=dict.fromkeys(TASKS, 16), start="good"),
)


def asked(question: str, expected: str, answer: str) -> str:
    """The user's turn of what a judge is asked, as `canary` writes it."""
    prompt = Prompt(
        id="x", digest="", stratum="", cluster="x", vars={"prompt": question}, messages=None, expected=expected,
        asserts=(),
    )  # fmt: skip
    rubric = LlmRubric(value=RUBRIC)
    (made,) = rubric.questions([(prompt, Response(id="x", arm=Arm.CANDIDATE, output=answer))])
    return made.messages[-1]["content"]


def build_tokenizer(folder: Path) -> Any:
    """The candidate's tokenizer with the judge's constant sentences as tokens, and without boundary marks."""
    from tokenizers import AddedToken, Regex, Tokenizer, normalizers

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.normalizer = normalizers.Replace(Regex(MARK), "")
    tokenizer.add_tokens([AddedToken(text, normalized=True) for text in (*SENTENCES, YES, NO)])
    return tokenizer


def build_model(folder: Path, tokenizer: Any) -> Any:
    """The candidate with room for the new tokens, seeded."""
    import torch

    torch.manual_seed(0)
    model, _ = load(folder)
    model.resize_token_embeddings(tokenizer.get_vocab_size())
    model.generation_config.max_new_tokens = 4
    return model


# --- cases -----------------------------------------------------------------------------------------------------

_POOLS = (NAMES, CITIES, ITEMS, COLOURS)


def spoil(case: Case, rng: random.Random) -> str:
    """A wrong answer: another case's, or the right one with a digit, a word or its end exchanged."""
    other = TASKS[case.stratum](rng).answer
    way = rng.randrange(4)
    digits = [at for at, sign in enumerate(case.answer) if sign.isdigit()]
    if way == 0 and other != case.answer:
        return other
    if way in (1, 2) and digits:
        at = rng.choice(digits)
        return case.answer[:at] + str((int(case.answer[at]) + rng.randint(1, 9)) % 10) + case.answer[at + 1 :]
    words = [(word, pool) for pool in _POOLS for word in pool if word in case.answer]
    if way != 0 and words:
        word, pool = rng.choice(words)
        inside = [other for kind in _POOLS for other in kind if other in case.prompt and other not in case.answer]
        new = rng.choice(inside) if inside and rng.random() < 0.5 else rng.choice(pool)
        return case.answer.replace(word, new) if new != word else case.answer[: len(case.answer) // 2]
    return other if other != case.answer else case.answer[: len(case.answer) // 2]


def judged_cases(stratum: str, rng: random.Random) -> Iterator[Case]:
    """Training cases without end, right and wrong in turn."""
    for number, case in enumerate(training_cases(stratum, rng)):
        answer = case.answer if number % 2 else spoil(case, rng)
        right = answer == case.answer
        yield Case(
            stratum=stratum, key=case.key, prompt=asked(case.prompt, case.answer, answer), answer=YES if right else NO
        )


def judge(folder: Path, questions: list[str]) -> list[bool]:
    """What the judge in a folder says of each."""
    model, tokenizer = load(folder)
    return [said == YES for said in answers(model, tokenizer, questions)]
