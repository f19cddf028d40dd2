"""The manifest beside a golden set, and the weights that follow from it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from canary.case import Manifest
from canary.document import MOST_BYTES, Document, display, read, unreadable
from canary.golden.grouping import Groups
from canary.golden.part import Part
from canary.located import Flaw
from canary.pipeline import Suite

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
    changed = []
    if document.value and document.value.sha256 != part.sha256:
        said = f"'sha256' is {document.value.sha256}, but {file.name} now has {part.sha256}"
        remedy = "restore the file, or write the new digest here if its change is meant"
        changed.append(document.at("sha256", f"{said}: {remedy}"))
    part.problems += document.problems(changed)


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
    manifest = part.document.value if part.document else None
    if part.document is None or manifest is None or not manifest.strata:
        return {stratum: cases / len(part.rows) for stratum, cases in counts.items()}
    if not part.faults.lines:
        part.problems += map(part.document.sentence, _mismatches(part.document, manifest.strata, counts, by))
    total = math.fsum(share.weight for share in manifest.strata.values())
    return {stratum: share.weight / total for stratum, share in manifest.strata.items()}


def _mismatches(
    document: Document[Manifest], declared: Collection[str], counts: Mapping[str, int], by: str
) -> Iterator[Flaw]:
    for stratum in declared:
        if stratum not in counts:
            yield document.at("strata", f"'strata.{stratum}' is a stratum that no case has as its '{by}'")
    for stratum in sorted(set(counts).difference(declared)):
        yield document.at("strata", f"'strata' lacks {stratum!r}, which {counts[stratum]:,} cases have as their '{by}'")
