"""The demo's checkpoints can be made again: same tasks, same start, same result."""

from __future__ import annotations

import importlib.util
import json
import math
import random
import warnings
from itertools import islice
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def training(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """`training.train`, or a loud skip where the libraries it needs are missing."""
    for library in ("torch", "transformers", "tokenizers"):
        if importlib.util.find_spec(library) is None:
            pytest.skip(f"{library} is not installed: pip install 'canary-gate[embeddings]'")
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # third-party deprecations at import
        import torch  # noqa: F401
        import transformers  # noqa: F401
    from training import train

    return train


@pytest.fixture
def tasks(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """`training.tasks`, which needs the standard library only."""
    monkeypatch.syspath_prepend(str(ROOT))
    from training import tasks

    return tasks


def test_golden_set_is_what_the_generators_write(tasks: ModuleType) -> None:
    """The shipped golden set and manifest are the generators' output, byte for byte."""
    text = (tasks.GOLDEN / "prompts.jsonl").read_text(encoding="utf-8")
    assert text == tasks.golden_text()
    assert (tasks.GOLDEN / "manifest.yaml").read_text(encoding="utf-8") == tasks.manifest_text(text)


def test_golden_set_is_held_out(tasks: ModuleType) -> None:
    """Every golden case is refused by the training stream, and no stream meets one."""
    golden = tasks.golden_cases()
    assert all(tasks.is_held_out(case) for case in golden)
    prompts = {case.prompt for case in golden}
    keys = {(case.stratum, case.key) for case in golden}
    assert len(prompts) == len(golden) == 750
    for stratum in tasks.TASKS:
        for case in islice(tasks.training_cases(stratum, random.Random(5)), 20_000):
            assert case.prompt not in prompts
            assert (stratum, case.key) not in keys


def test_sums_are_held_out_in_both_orders(tasks: ModuleType) -> None:
    """A golden sum is not trained on with its terms swapped either."""
    golden = {case.key for case in tasks.golden_cases() if case.stratum == "arithmetic"}
    stream = islice(tasks.training_cases("arithmetic", random.Random(6)), 50_000)
    trained = {case.key for case in stream}
    assert len(trained) > 3_000
    assert not golden & trained


def test_same_seed_same_cases(tasks: ModuleType) -> None:
    """A stream depends on its seed and on nothing else."""
    for stratum in tasks.TASKS:
        first, again, other = (
            list(islice(tasks.training_cases(stratum, random.Random(seed)), 50)) for seed in (1, 1, 2)
        )
        assert first == again
        assert first != other


def test_first_losses_are_reproduced(training: ModuleType) -> None:
    """The script's first 20 losses are the recorded ones, so it is the script that made the checkpoints."""
    recorded = json.loads(training.LOSSES.read_text(encoding="utf-8"))
    assert len(recorded) == 20
    found = training.first_losses(20)
    assert all(math.isclose(was, now, rel_tol=1e-4) for was, now in zip(recorded, found, strict=True)), found


@pytest.mark.training
def test_training_from_nothing_meets_the_demo_s_needs(training: ModuleType, tmp_path: Path) -> None:
    """All three checkpoints, trained anew, stand in the relation the demo is about."""
    training.make(tmp_path)
    counts = json.loads((tmp_path / "accuracy.json").read_text(encoding="utf-8"))
    baseline, good, bad = (counts[name] for name in training.NAMES)
    assert all(good[stratum] >= right for stratum, right in baseline.items())
    assert sum(good.values()) > sum(baseline.values())
    assert sum(bad.values()) > sum(baseline.values())
    assert min(bad[stratum] - right for stratum, right in baseline.items()) < -22
