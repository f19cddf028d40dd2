"""The manifest beside a golden set, and the weights that follow from it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from canary.case import Manifest
from canary.document import MOST_BYTES, display, read, unreadable
from canary.golden.grouping import Groups
from canary.golden.part import Part
from canary.plan import Suite

MANIFEST = "manifest.yaml"


def read_manifest(part: Part, file: Path) -> None:
    """Put the manifest, or what is wrong with it, into the part."""
    path = file.with_name(MANIFEST)
    if not path.exists():
        part.warnings.append(
            f"{file.name} has no {MANIFEST} beside it, which would pin its sha256, weigh its strata and say its "
            "source and licence; each stratum counts by its number of cases"
        )
        return
    try:
        with path.open("rb") as opened:
            data = opened.read(MOST_BYTES + 1)
    except OSError as error:
        part.problems.append(f"{display(path)}: {unreadable(error)}")
        return
    part.document = document = read(data, Manifest, display(path))
    part.problems += document.problems
    if document.value and document.value.sha256 != part.sha256:
        part.problems.append(
            document.at(
                "sha256",
                f"'sha256' is {document.value.sha256}, but {file.name} now has {part.sha256}: "
                "restore the file, or write the new digest here if its change is meant",
            )
        )


def shares(parts: Sequence[Part], groups: Groups, suite: Suite) -> dict[str, float]:
    """Weight of each stratum over all parts, summing to one."""
    totals: dict[str, list[float]] = {}
    start = 0
    for part in parts:
        counts = Counter(groups.strata[start : start + len(part.rows)])
        start += len(part.rows)
        for stratum, share in _weights(part, counts, suite.strata.by).items():
            totals.setdefault(stratum, []).append(share * len(part.rows))
    everything = math.fsum(share for found in totals.values() for share in found)
    if not everything:
        return {}
    return {stratum: math.fsum(found) / everything for stratum, found in sorted(totals.items())}


def _weights(part: Part, counts: Mapping[str, int], by: str) -> dict[str, float]:
    """What share each stratum is of what one set stands for."""
    declared = part.manifest.strata if part.manifest else {}
    if not declared:
        return {stratum: cases / len(part.rows) for stratum, cases in counts.items()}
    if not part.faults.lines:
        part.problems += _mismatches(part, counts, by)
    total = math.fsum(share.weight for share in declared.values())
    return {stratum: share.weight / total for stratum, share in declared.items()}


def _mismatches(part: Part, counts: Mapping[str, int], by: str) -> Iterator[str]:
    if part.document is None or part.manifest is None:
        return
    for stratum in sorted(part.manifest.strata.keys() - counts.keys()):
        yield part.document.at("strata", f"'strata.{stratum}' is a stratum without cases (cases have '{by}')")
    for stratum in sorted(counts.keys() - part.manifest.strata.keys()):
        yield part.document.at("strata", f"'strata' lacks {stratum!r}, which {counts[stratum]:,} cases have as '{by}'")
