"""Makes two small judges: one that reads answers well enough to be trusted, and one stopped far too early.

    python -m training.judge                  # both, about six minutes of one quiet core
    python -m training.judge --measure        # only re-measure the shipped judges
    python -m training.judge --example        # only write the files of pipelines/judged.yaml

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
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from canary.assertions.judged import LlmRubric
from canary.records import Arm, Prompt, Response
from training.tasks import CITIES, COLOURS, GOLDEN_SEED, ITEMS, NAMES, ROOT, TASKS, Case, training_cases
from training.train import CHECKPOINTS, THREADS, Stage, answers, golden_lines, load, save_model, save_tokenizer, train

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
CHAT_TEMPLATE = "{{ bos_token }}{{ messages[-1]['content'] }}"
"""The last turn holds all that differs; what the system turn forbids, these models cannot do."""
TAUGHT = {"classify": 12, "arithmetic": 32, "extract": 32}
"""Cases a step. The other tasks are left out, so that a calibration has something to find."""
STAGES = (
    Stage(name="fit", seed=11, steps=900, peak=2e-3, horizon=900, cases=TAUGHT, start="candidate-good"),
    Stage(name="poor", seed=12, steps=100, peak=2e-3, horizon=900, cases=TAUGHT, start="candidate-good"),
)


def asked(question: str, expected: str, answer: str) -> str:
    """The user's turn of what a judge is asked, as `canary` writes it."""
    prompt = Prompt(
        id="x", digest="", stratum="", cluster="x", vars={"prompt": question}, messages=None, expected=expected,
        asserts=(),
    )  # fmt: skip
    rubric = LlmRubric(value=RUBRIC)
    (made,) = rubric.questions([(prompt, Response(id="x", arm=Arm.CANDIDATE, output=answer))])
    return str(made.messages[-1]["content"])


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
    """Training cases without end, right and wrong in turn.

    A right answer is itself part of what is learned: a model that can copy the
    reference knows where an answer leaves it.
    """
    for number, case in enumerate(training_cases(stratum, rng)):
        answer = case.answer if number % 2 else spoil(case, rng)
        turn = asked(case.prompt, case.answer, answer)
        head = turn.index("\n", turn.index("<answer ")) + 1 if answer == case.answer else len(turn)
        verdict = YES if answer == case.answer else NO
        yield Case(stratum=stratum, key=case.key, prompt=turn[:head], answer=turn[head:] + verdict)


# --- measuring -------------------------------------------------------------------------------------------------


def measured_cases(per_stratum: int = 60) -> list[Case]:
    """Golden cases with a right and a wrong answer in turn; the verdict is the answer."""
    rng, found = random.Random(GOLDEN_SEED), []
    for stratum in TASKS:
        mine = [line for line in golden_lines() if line["metadata"]["stratum"] == stratum][:per_stratum]
        for number, line in enumerate(mine):
            case = Case(stratum=stratum, key="", prompt=line["vars"]["prompt"], answer=line["expected"])
            answer = case.answer if number % 2 else spoil(case, rng)
            verdict = YES if answer == case.answer else NO
            found.append(
                Case(stratum=stratum, key=answer, prompt=asked(case.prompt, case.answer, answer), answer=verdict)
            )
    return found


def measure(folder: Path) -> dict[str, dict[str, int]]:
    """Per stratum: right and wrong answers told as such, of 30 each, and replies that are no verdict."""
    import torch

    torch.set_num_threads(THREADS)
    model, tokenizer = load(folder)
    cases = measured_cases()
    found = {stratum: {"right": 0, "wrong": 0, "no verdict": 0} for stratum in TASKS}
    for case, said in zip(cases, answers(model, tokenizer, [case.prompt for case in cases]), strict=True):
        told = found[case.stratum]
        told["right" if case.answer == YES else "wrong"] += said == case.answer
        told["no verdict"] += said not in (YES, NO)
    return found


# --- the example of pipelines/judged.yaml ---------------------------------------------------------------------

EXAMPLE = {"classify": 40, "arithmetic": 60}
"""Golden cases of the quickstart that the example asks, per stratum."""


def example_files() -> dict[Path, str]:
    """The example's golden set, recorded answers and labels, by their path in the repository.

    A label says whether an answer is the expected one: these questions have
    one right answer, so nobody's opinion is needed. Each case is labelled with
    a right and a wrong answer.
    """
    rng, chosen = random.Random(GOLDEN_SEED + 1), []
    for stratum, count in EXAMPLE.items():
        chosen += [line for line in golden_lines() if line["metadata"]["stratum"] == stratum][:count]
    ids, labels = {line["id"] for line in chosen}, []
    for line in chosen:
        case = Case(stratum=line["metadata"]["stratum"], key="", prompt=line["vars"]["prompt"], answer=line["expected"])
        for answer in (case.answer, spoil(case, rng)):
            row = {"id": line["id"], "metric": "agrees", "label": answer == case.answer, "output": answer}
            labels.append(row)
    golden = [{name: line[name] for name in ("id", "vars", "expected", "metadata")} for line in chosen]
    files = {"golden_sets/judged/prompts.jsonl": golden, "pipelines/judged/labels.jsonl": labels}
    for arm in ("baseline", "candidate"):
        text = (ROOT / "pipelines" / "recorded" / f"{arm}.jsonl").read_text(encoding="utf-8")
        answered = [json.loads(line) for line in text.splitlines()]
        files[f"pipelines/judged/{arm}.jsonl"] = [
            {"id": row["id"], "output": row["output"]} for row in answered if row["id"] in ids
        ]
    texts = {name: "".join(json.dumps(row) + "\n" for row in rows) for name, rows in files.items()}
    texts["golden_sets/judged/manifest.yaml"] = manifest(texts["golden_sets/judged/prompts.jsonl"])
    return {ROOT / name: text for name, text in texts.items()}


def manifest(prompts: str) -> str:
    """`manifest.yaml` of the example's golden set."""
    weights = "".join(
        f"  {stratum}: {{weight: {count / sum(EXAMPLE.values()):g}}}\n" for stratum, count in EXAMPLE.items()
    )
    return (
        "name: judged\n"
        "description: A hundred of the quickstart's cases, for a judge to grade.\n"
        f"sha256: {hashlib.sha256(prompts.encode()).hexdigest()}\n"
        "licence: Apache-2.0\n"
        "source: golden_sets/quickstart, by training/judge.py; no case is ever trained on\n"
        "sensitivity: public\n"
        f"strata:\n{weights}"
    )


# --- the whole run ---------------------------------------------------------------------------------------------


def make_one(stage: Stage, folder: Path, start: Path = CHECKPOINTS) -> list[float]:
    """Train one judge from the candidate it starts with and write it; returns its losses."""
    tokenizer = build_tokenizer(start / str(stage.start))
    model = build_model(start / str(stage.start), tokenizer)
    losses = train(model, tokenizer, stage, draw=judged_cases)
    save_model(model, folder / stage.name)
    save_tokenizer(tokenizer, folder / stage.name)
    path = folder / stage.name / "chat_template.jinja"
    path.write_text(CHAT_TEMPLATE, encoding="utf-8")
    return losses


def seal(folder: Path) -> None:
    """Write `accuracy.json`, measured, and `SHA256SUMS` of every file of the judges."""
    counts = {stage.name: measure(folder / stage.name) for stage in STAGES}
    (folder / "accuracy.json").write_text(json.dumps(counts, indent=1) + "\n", encoding="utf-8")
    paths = sorted(path for stage in STAGES for path in (folder / stage.name).iterdir())
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder)}\n" for path in paths]
    (folder / "SHA256SUMS").write_text("".join(sums), encoding="utf-8")


def main() -> int:
    """Train, or measure."""
    parser = argparse.ArgumentParser(description="Train the two small judges.")
    parser.add_argument("--out", type=Path, default=JUDGES, help="folder to write (default: %(default)s)")
    parser.add_argument("--measure", action="store_true", help="measure the judges in --out and stop")
    parser.add_argument("--example", action="store_true", help="write the files of pipelines/judged.yaml and stop")
    args = parser.parse_args()
    if args.example:
        for path, text in example_files().items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return 0
    if args.measure:
        print(json.dumps({stage.name: measure(args.out / stage.name) for stage in STAGES}, indent=1))
        return 0
    for stage in STAGES:
        make_one(stage, args.out)
    seal(args.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
