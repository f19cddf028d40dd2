"""A run that another job uploaded, perhaps a stranger's: read as a claim, judged again.

The verdict it brings is not looked at. What it says was answered is judged
anew; the rules come from a pipeline that is trusted.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from canary.errors import EvidenceError
from canary.evaluate import evaluate
from canary.evidence import stored_digests
from canary.run.again import judge_again
from canary.run.load import load
from canary.run.recorded import Judged

MOST_FILES = 100
MOST_BYTES = 1 << 29


def judge_artifact(path: Path, rules: Path | None) -> tuple[Judged, tuple[str, ...]]:
    """The verdict, and what a reader must know of it.

    `rules` is a trusted pipeline whose policy and strata decide. Raises
    EvidenceError for a run that is oversized, no plain folder, or not what its
    seal says.
    """
    _require_plain(path)
    judged = judge_again(path)
    claimed = "judged again from an uploaded run: its answers and scores are what that run says"
    if rules is None:
        return judged, (claimed,)
    stage = judged.plan.stage if judged.plan.stage in {"build", "shadow"} else "staging"
    trusted = load(rules, stage=stage).plan
    decided = {"policy": trusted.policy, "required": trusted.required, "strata": trusted.strata}
    plan = judged.plan.model_copy(update=decided | {"pipeline": trusted.pipeline, "stage": trusted.stage})
    facts = (
        (plan.golden_sha256 != trusted.golden_sha256, "other cases"),
        (plan.scoring_digest() != trusted.scoring_digest(), "other assertions"),
        (plan.suite.repeat != trusted.suite.repeat, "another number of repeats"),
        (plan.baseline.digest != trusted.baseline.digest, "another baseline"),
    )
    odd = [words for is_other, words in facts if is_other]
    said = f"this verdict does not count: the run has {' and '.join(odd)} than {rules} here" if odd else ""
    verdict = evaluate(judged.evidence, plan, stored_digests(path))
    return replace(judged, verdict=verdict, plan=plan), tuple(note for note in (said, claimed) if note)


def _require_plain(path: Path) -> None:
    """Raise EvidenceError for links, and for more than a run can hold, before any of it is read."""
    size = 0
    for files, inside in enumerate(path.rglob("*"), 1):
        if inside.is_symlink() or not (inside.is_dir() or inside.is_file()):
            raise EvidenceError(f"{path}: every entry must be a plain file (got {inside.name!r})")
        size += inside.stat().st_size
        if files > MOST_FILES or size > MOST_BYTES:
            raise EvidenceError(f"{path}: must hold at most {MOST_FILES} files and {MOST_BYTES >> 20} MiB")
