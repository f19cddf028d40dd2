"""The spool: one arm's answers, until the other's are there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from canary.errors import EvidenceError
from canary.records import Arm, Response
from canary.run.spool import Spool


def answer(name: str) -> Response:
    """The baseline's, to one case."""
    return Response(id=name, arm=Arm.BASELINE, output=f"{name} from the baseline")


def test_read_back(tmp_path: Path) -> None:
    """One by one, after any break; what was not recorded is not there."""
    path = tmp_path / "spool"
    with Spool.open(path, Arm.BASELINE) as spool:
        for number in range(5):
            spool.append(replace(answer(f"c{number}"), output="\u2028\ud800" * number))
        spool.append(None)
    with path.open("ab") as file:
        file.write(b'{"id":"c9","arm":"base')

    with Spool.open(path, Arm.BASELINE) as again:
        assert again.warnings == (f"{path}: cut off a torn last line of 22 bytes",)
        assert [("c3", 0) in again, ("c9", 0) in again] == [True, False]
        again.append(replace(answer("c9"), output="nine"))
        found = [again.of((name, 0)) for name in ("c9", "c3", "c0", "c8")]

    assert [one and one.output for one in found] == ["nine", "\u2028\ud800" * 3, "", None]


def test_an_answer_that_does_not_belong(tmp_path: Path) -> None:
    """The other arm's, or one that is there already, is refused, and the file stays what it was."""
    path = tmp_path / "spool"
    with Spool.open(path, Arm.BASELINE) as spool:
        spool.append(answer("c0"))
        before = path.read_bytes()
        for other in (replace(answer("c1"), arm=Arm.CANDIDATE), answer("c0")):
            with pytest.raises(EvidenceError, match="does not belong here, or is there already"):
                spool.append(other)

    assert path.read_bytes() == before
