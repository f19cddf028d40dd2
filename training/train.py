"""Makes the quickstart's three checkpoints: a baseline, a better candidate, and one that lost a stratum.

    python -m training.train                  # all three, about ten minutes of one quiet core
    python -m training.train --check-losses   # are the first 20 losses reproduced? about 10 seconds
    python -m training.train --measure        # only re-measure the shipped checkpoints

One small Llama is trained from scratch on the tasks of `training/tasks.py` and stopped early: the baseline.
Trained on with all tasks it is the good candidate; that one, trained on with one task left out, is the bad
candidate. The loss is that of the answers only. Nothing here reads the golden set except `measure`, after
training.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import json
import math
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from training.tasks import GOLDEN, ROOT, TASKS, Case, training_cases

CHECKPOINTS = ROOT / "pipelines" / "checkpoints"
LOSSES = ROOT / "training" / "losses.json"
THREADS = 1
"""Fixed, because the order of a sum, and so its last digits, depends on it."""
BOS, EOS, PAD = "<s>", "</s>", "<pad>"
WIDTH, LAYERS, HEADS, INNER = 128, 4, 4, 352
LONGEST_ANSWER = 16
IGNORED = -100

# --- tokenizer -------------------------------------------------------------------------------------------------

PIECES = r'\{"|": \{"|": "|", "|": (?=[0-9])|"?\}+| ?[A-Za-z]+|[0-9]|\s|[^\sA-Za-z0-9]'
"""JSON punctuation in groups, words with the blank before them, single digits."""


def build_tokenizer() -> Any:
    """Whole words of the tasks as tokens, bytes for everything else; any text survives a round trip."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors

    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    split = pre_tokenizers.Split(Regex(PIECES), behavior="isolated")
    cut = pre_tokenizers.Sequence([split, byte_level])
    words: set[str] = set()
    for stratum in TASKS:
        for case in islice(training_cases(stratum, random.Random(stratum)), 6_000):
            for text in (case.prompt, case.answer):
                words.update(piece for piece, _ in cut.pre_tokenize_str(text))
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [PAD, BOS, EOS, *alphabet, *sorted(words - set(alphabet))]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], ignore_merges=True))
    tokenizer.pre_tokenizer = cut
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([PAD, BOS, EOS])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A {BOS} $B", special_tokens=[(BOS, vocabulary[BOS])]
    )
    return tokenizer


def save_tokenizer(tokenizer: Any, folder: Path) -> None:
    """Write `tokenizer.json` and its settings as `AutoTokenizer` reads them."""
    from transformers import PreTrainedTokenizerFast

    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        clean_up_tokenization_spaces=False,
        padding_side="left",
        model_max_length=256,
        model_input_names=["input_ids", "attention_mask"],
    )
    fast.chat_template = "{{ bos_token }}{% for message in messages %}{{ message['content'] }}{% endfor %}"
    fast.save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"  # the name that every transformers since 4 knows
    settings.pop("backend", None)
    path.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")


# --- model -----------------------------------------------------------------------------------------------------


def build_model(tokenizer: Any) -> Any:
    """A Llama of about one million parameters with seeded weights."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=WIDTH,
        intermediate_size=INNER,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.token_to_id(BOS),
        eos_token_id=tokenizer.token_to_id(EOS),
        pad_token_id=tokenizer.token_to_id(PAD),
        initializer_range=0.05,
    )
    model = LlamaForCausalLM(config)
    model.generation_config.do_sample = False
    model.generation_config.max_new_tokens = LONGEST_ANSWER
    return model


def save_model(model: Any, folder: Path) -> None:
    """Write the weights in half precision; the configuration asks for float32 when they are loaded."""
    copy.deepcopy(model).half().save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["dtype"] = "float32"
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def load(folder: Path) -> tuple[Any, Any]:
    """The model and tokenizer in a folder, ready to generate."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, dtype=torch.float32)
    return model.eval(), AutoTokenizer.from_pretrained(folder, local_files_only=True)


# --- training --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One checkpoint's training: on what, how long, how fast."""

    name: str
    seed: int
    steps: int
    peak: float
    """Highest learning rate, warmed up to over 50 steps."""
    horizon: int
    """The step at which the learning rate, a cosine, would be zero; the baseline stops long before."""
    cases: dict[str, int]
    """Cases a step, per stratum; each stratum's mean loss counts the same."""
    start: str | None = None
    """The checkpoint to continue from."""

    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        rate = self.peak * min(1.0, (step + 1) / 50)
        return rate * 0.5 * (1 + math.cos(math.pi * step / self.horizon))


STAGES = (
    Stage(
        name="baseline",
        seed=1,
        steps=500,
        peak=3e-3,
        horizon=1_200,
        cases={"extract": 16, "classify": 8, "arithmetic": 48, "lookup": 24, "tool_call": 12},
    ),
    Stage(
        name="candidate-good",
        seed=2,
        steps=700,
        peak=2e-3,
        horizon=700,
        cases={"extract": 12, "classify": 6, "arithmetic": 48, "lookup": 48, "tool_call": 12},
        start="baseline",
    ),
    Stage(
        name="candidate-bad",
        seed=3,
        steps=210,
        peak=1e-3,
        horizon=600,
        cases={"extract": 12, "classify": 6, "arithmetic": 48, "lookup": 24},
        start="candidate-good",
    ),
)

NAMES = tuple(stage.name for stage in STAGES)


def row(tokenizer: Any, case: Case) -> tuple[list[int], list[int]]:
    """A case as token numbers and labels; only the answer and its end are labelled."""
    asked = tokenizer.encode(case.prompt).ids
    answered = [*tokenizer.encode(case.answer, add_special_tokens=False).ids, tokenizer.token_to_id(EOS)]
    return asked + answered, [IGNORED] * len(asked) + answered


def batch(tokenizer: Any, cases: list[Case]) -> tuple[Any, Any]:
    """The rows of some cases as tensors, padded on the right."""
    import torch

    rows = [row(tokenizer, case) for case in cases]
    width = max(len(tokens) for tokens, _ in rows)
    pad = tokenizer.token_to_id(PAD)
    tokens = torch.tensor([tokens + [pad] * (width - len(tokens)) for tokens, _ in rows])
    labels = torch.tensor([labels + [IGNORED] * (width - len(labels)) for _, labels in rows])
    return tokens, labels


def train(
    model: Any,
    tokenizer: Any,
    stage: Stage,
    *,
    stop: int | None = None,
    after: Callable[[int], None] | None = None,
    draw: Callable[[str, random.Random], Iterator[Case]] = training_cases,
) -> list[float]:
    """Train in place, up to step `stop`, calling `after` each step; returns the loss of each step."""
    import torch

    torch.set_num_threads(THREADS)
    torch.manual_seed(stage.seed)
    torch.use_deterministic_algorithms(mode=True)
    streams = {stratum: draw(stratum, random.Random(f"{stage.seed}-{stratum}")) for stratum in stage.cases}
    optimizer = torch.optim.AdamW(model.parameters(), lr=stage.peak, betas=(0.9, 0.98), weight_decay=0.01)
    model.train()
    losses: list[float] = []
    began = time.monotonic()
    for step in range(stage.steps if stop is None else stop):
        for group in optimizer.param_groups:
            group["lr"] = stage.rate(step)
        total, parts = 0.0, {}
        for stratum, size in stage.cases.items():
            tokens, labels = batch(tokenizer, list(islice(streams[stratum], size)))
            loss = model(input_ids=tokens, labels=labels).loss / len(stage.cases)
            loss.backward()
            parts[stratum] = loss.item() * len(stage.cases)
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(total)
        if after is not None:
            after(step + 1)
        if step % 50 == 49:
            shown = " ".join(f"{stratum} {part:.3f}" for stratum, part in parts.items())
            print(f"{stage.name} {step + 1} {time.monotonic() - began:.0f} s: {total:.4f} ({shown})", flush=True)
    return losses


def first_losses(count: int = 20) -> list[float]:
    """The baseline's first losses, trained anew."""
    tokenizer = build_tokenizer()
    return train(build_model(tokenizer), tokenizer, STAGES[0], stop=count)


# --- measuring -------------------------------------------------------------------------------------------------


def golden_lines() -> list[dict[str, Any]]:
    """The lines of the golden set as shipped."""
    text = (GOLDEN / "prompts.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def answers(model: Any, tokenizer: Any, prompts: list[str]) -> list[str]:
    """Greedy answers; prompts of one length go together, so that nothing is padded."""
    import torch

    encoded = [tokenizer(prompt)["input_ids"] for prompt in prompts]
    lengths: dict[int, list[int]] = defaultdict(list)
    for at, tokens in enumerate(encoded):
        lengths[len(tokens)].append(at)
    found = [""] * len(prompts)
    for length, places in lengths.items():
        tokens = torch.tensor([encoded[at] for at in places])
        with torch.no_grad():
            made = model.generate(tokens, attention_mask=torch.ones_like(tokens))
        for at, text in zip(places, tokenizer.batch_decode(made[:, length:], skip_special_tokens=True), strict=True):
            found[at] = text
    return found


def measure(folder: Path) -> dict[str, list[bool]]:
    """Per stratum, whether each golden case was answered right by the checkpoint in a folder."""
    model, tokenizer = load(folder)
    lines = golden_lines()
    found = answers(model, tokenizer, [line["vars"]["prompt"] for line in lines])
    right: dict[str, list[bool]] = defaultdict(list)
    for line, answer in zip(lines, found, strict=True):
        right[line["metadata"]["stratum"]].append(answer == line["expected"])
    return dict(right)


def report(folder: Path) -> dict[str, dict[str, int]]:
    """The measured accuracies of all checkpoints, printed and returned as counts of right answers."""
    counts: dict[str, dict[str, int]] = {}
    first: dict[str, list[bool]] = {}
    for name in NAMES:
        right = measure(folder / name)
        first = first or right
        counts[name] = {stratum: sum(cases) for stratum, cases in right.items()}
        for stratum, cases in right.items():
            lost = sum(before and not now for before, now in zip(first[stratum], cases, strict=True))
            print(f"{name:15} {stratum:11} {sum(cases)}/{len(cases)}, {lost} of the baseline's lost")
        print(f"{name:15} {'all':11} {sum(counts[name].values())}/{sum(map(len, right.values()))}")
    return counts


# --- the whole run ---------------------------------------------------------------------------------------------


def seal(folder: Path) -> None:
    """Write `accuracy.json`, measured, and `SHA256SUMS` of every file of the checkpoints."""
    (folder / "accuracy.json").write_text(json.dumps(report(folder), indent=1) + "\n", encoding="utf-8")
    paths = sorted(path for name in NAMES for path in (folder / name).iterdir())
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder)}\n" for path in paths]
    (folder / "SHA256SUMS").write_text("".join(sums), encoding="utf-8")


def make(folder: Path) -> list[float]:
    """Train all stages, write the checkpoints and what was measured; returns the first stage's losses."""
    tokenizer = build_tokenizer()
    losses: dict[str, list[float]] = {}
    for stage in STAGES:
        model = build_model(tokenizer) if stage.start is None else load(folder / stage.start)[0]
        losses[stage.name] = train(model, tokenizer, stage)
        save_model(model, folder / stage.name)
        save_tokenizer(tokenizer, folder / stage.name)
    seal(folder)
    return losses[STAGES[0].name]


def check_losses() -> bool:
    """Whether the first 20 losses of the baseline are the recorded ones, within 1 in 10,000."""
    recorded = json.loads(LOSSES.read_text(encoding="utf-8"))
    found = first_losses(len(recorded))
    for step, (was, now) in enumerate(zip(recorded, found, strict=True), 1):
        print(f"step {step}: recorded {was:.6f}, now {now:.6f}")
    return all(math.isclose(was, now, rel_tol=1e-4) for was, now in zip(recorded, found, strict=True))


def main() -> int:
    """Train, or check."""
    parser = argparse.ArgumentParser(description="Train the quickstart's three checkpoints.")
    parser.add_argument("--out", type=Path, default=CHECKPOINTS, help="folder to write (default: %(default)s)")
    parser.add_argument("--check-losses", action="store_true", help="compare the first 20 losses and stop")
    parser.add_argument("--measure", action="store_true", help="measure the checkpoints in --out and stop")
    args = parser.parse_args()
    if args.check_losses:
        return 0 if check_losses() else 1
    if args.measure:
        report(args.out)
        return 0
    losses = make(args.out)
    if args.out == CHECKPOINTS:
        LOSSES.write_text(json.dumps(losses[:20], indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
