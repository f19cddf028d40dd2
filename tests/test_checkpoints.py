"""The shipped checkpoints are the ones described: same bytes, same answers, same strengths and one loss."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
CHECKPOINTS = ROOT / "pipelines" / "checkpoints"
STRATA = {"extract", "classify", "arithmetic", "lookup", "tool_call"}
NAMES = ("baseline", "candidate-good", "candidate-bad")
LOST = "tool_call"


def _golden() -> list[dict[str, Any]]:
    text = (ROOT / "golden_sets" / "quickstart" / "prompts.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def _recorded() -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = json.loads((CHECKPOINTS / "accuracy.json").read_text(encoding="utf-8"))
    return counts


@pytest.fixture(scope="module")
def measured() -> Iterator[dict[str, dict[str, list[bool]]]]:
    """Per checkpoint and stratum, which golden cases it answers right when really generated from, on a CPU."""
    for library in ("torch", "transformers", "safetensors"):
        if importlib.util.find_spec(library) is None:
            pytest.skip(f"{library} is not installed: pip install 'canary-gate[embeddings]'")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # third-party deprecations
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.syspath_prepend(str(ROOT))
        from training import train

        yield {name: train.measure(CHECKPOINTS / name) for name in NAMES}


def test_golden_set_has_750_cases_in_five_even_strata() -> None:
    """150 cases a stratum, ids unique, prompts unique."""
    lines = _golden()
    assert Counter(line["metadata"]["stratum"] for line in lines) == dict.fromkeys(STRATA, 150)
    assert len({line["id"] for line in lines}) == 750
    assert len({line["vars"]["prompt"] for line in lines}) == 750


def test_golden_answers_satisfy_their_own_assertions() -> None:
    """JSON strata carry a schema that the expected answer meets; every case is checked for equality."""
    import jsonschema

    for line in _golden():
        kinds = {check["type"]: check for check in line["assert"]}
        assert kinds["equals"]["value"] == "{{expected}}"
        assert ("is-json" in kinds) == (line["metadata"]["stratum"] in {"extract", "tool_call"})
        if "is-json" in kinds:
            jsonschema.validate(json.loads(line["expected"]), kinds["is-json"]["value"])


def test_manifest_digest_is_that_of_the_prompts() -> None:
    """`manifest.yaml` names the bytes that are shipped and gives every stratum a weight."""
    import yaml

    folder = ROOT / "golden_sets" / "quickstart"
    manifest = yaml.safe_load((folder / "manifest.yaml").read_text(encoding="utf-8"))
    assert manifest["sha256"] == hashlib.sha256((folder / "prompts.jsonl").read_bytes()).hexdigest()
    assert set(manifest["strata"]) == STRATA
    assert sum(stratum["weight"] for stratum in manifest["strata"].values()) == pytest.approx(1)


def test_digests(check_digests: Callable[[Path], Mapping[str, Path]]) -> None:
    """`SHA256SUMS` lists every shipped file of the checkpoints with its digest, and no other."""
    assert len(check_digests(CHECKPOINTS)) >= len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_checkpoints_are_small_and_hold_no_code(name: str) -> None:
    """Weights are safetensors of at most 4 MB; everything else is JSON or a template."""
    files = {path.name: path for path in (CHECKPOINTS / name).iterdir()}
    assert {path.suffix for path in files.values()} <= {".safetensors", ".json", ".jinja"}
    assert files["model.safetensors"].stat().st_size <= 4_000_000
    assert json.loads(files["config.json"].read_text(encoding="utf-8"))["dtype"] == "float32"


def test_recorded_accuracies_tell_the_demo_s_story() -> None:
    """Good: nowhere below the baseline. Bad: better on average, and clearly worse in one stratum only."""
    counts = _recorded()
    baseline, good, bad = (counts[name] for name in NAMES)
    assert all(good[stratum] >= baseline[stratum] for stratum in STRATA)
    assert sum(good.values()) >= sum(baseline.values()) + 38
    assert sum(bad.values()) >= sum(baseline.values()) + 23
    assert bad[LOST] <= baseline[LOST] - 23
    assert all(bad[stratum] >= baseline[stratum] - 1 for stratum in STRATA - {LOST})


def test_accuracies_are_measured_again(measured: dict[str, dict[str, list[bool]]]) -> None:
    """Real generation gives each recorded count, give or take one case."""
    for name, counts in _recorded().items():
        for stratum, right in counts.items():
            assert abs(sum(measured[name][stratum]) - right) <= 1, (name, stratum)


def test_good_candidate_loses_almost_no_case(measured: dict[str, dict[str, list[bool]]]) -> None:
    """At most two cases of a stratum that the baseline had right."""
    for stratum, right in measured["baseline"].items():
        pairs = zip(right, measured["candidate-good"][stratum], strict=True)
        assert sum(before and not after for before, after in pairs) <= 2, stratum


def test_tokenizer_round_trips(measured: dict[str, dict[str, list[bool]]]) -> None:
    """Prompts, answers and arbitrary text come back as they were; answers are at most 12 tokens."""
    from training import train

    _, tokenizer = train.load(CHECKPOINTS / "baseline")
    texts = [line["vars"]["prompt"] for line in _golden()] + [line["expected"] for line in _golden()]
    for text in [*texts, '{"a": {"b": [1, 2.5]}}', "naïve  – 東京\n\t'x' , .", "un-seen Wörds ?!"]:
        tokens = tokenizer(text)["input_ids"]
        assert tokens[0] == tokenizer.bos_token_id
        assert tokenizer.decode(tokens, skip_special_tokens=True) == text
    lengths = [len(tokenizer(line["expected"], add_special_tokens=False)["input_ids"]) for line in _golden()]
    assert max(lengths) <= 12


def test_one_at_a_time_equals_batched(measured: dict[str, dict[str, list[bool]]]) -> None:
    """A prompt alone is answered as it is in a batch, so the demo's numbers are the recorded ones."""
    from training import train

    model, tokenizer = train.load(CHECKPOINTS / "baseline")
    lines = _golden()[::50]
    prompts = [line["vars"]["prompt"] for line in lines]
    assert train.answers(model, tokenizer, prompts) == [
        train.answers(model, tokenizer, [prompt])[0] for prompt in prompts
    ]
