"""One file of a golden set while it is being checked."""

from __future__ import annotations

from dataclasses import dataclass, field

from canary.case import Manifest
from canary.document import Document
from canary.golden.lines import CaseRow, Faults


@dataclass(slots=True, kw_only=True)
class Part:
    """The cases of one file, its manifest, and what is wrong so far."""

    name: str
    """The file as the user knows it."""
    rows: list[CaseRow]
    sha256: str
    faults: Faults
    """Mistakes that belong to a line."""
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    document: Document[Manifest] | None = None
    """The manifest with its lines; None where there is none."""

    @property
    def manifest(self) -> Manifest | None:
        """The manifest where it is without mistakes."""
        return self.document.value if self.document else None
