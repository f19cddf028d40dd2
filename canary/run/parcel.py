"""A run directory as lines of a log, which is all that a job's interface brings back.

    python -m canary.run.parcel RUNS

prints every run of a folder. A line is the mark, the run's name, its number
of how many, the digest of the whole, and a piece of a compressed archive.
"""

from __future__ import annotations

import base64
import hashlib
import io
import sys
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from canary.document import display
from canary.errors import EvidenceError

MARK = "@canary-run"
MOST_BYTES = 2 << 30
PIECE = 48_000
"""Characters of one line: pipes and logs pass it whole."""


def is_parcel(line: str) -> bool:
    """Whether a line of the log is for us and not for people."""
    return line.startswith(f"{MARK} ")


def pack(run: Path) -> Iterator[str]:
    """The lines of one run."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for path in sorted(path for path in run.rglob("*") if path.is_file()):
            archive.add(path, arcname=path.relative_to(run).as_posix())
    text = base64.b64encode(buffer.getvalue()).decode()
    digest = hashlib.sha256(text.encode()).hexdigest()
    pieces = [text[at : at + PIECE] for at in range(0, len(text), PIECE)]
    for number, piece in enumerate(pieces, 1):
        yield f"{MARK} {run.name} {number}/{len(pieces)} {digest} {piece}"


def unpack(lines: Iterable[str], runs: Path) -> Path | None:
    """Writes the run that the log carries into `runs`; None where it carries none.

    Raises EvidenceError where a part is missing or damaged, or the run is
    there already.
    """
    parts = [line.split(" ") for line in map(str.rstrip, lines) if is_parcel(line)]
    if not parts:
        return None
    names, digests = ({part[at] for part in parts if len(part) == 5} for at in (1, 3))
    pieces = {part[2]: part[4] for part in parts if len(part) == 5}
    text = "".join(pieces.get(f"{number}/{len(pieces)}", "") for number in range(1, len(pieces) + 1))
    if len(names) != 1 or digests != {hashlib.sha256(text.encode()).hexdigest()}:
        raise EvidenceError("the log carries a run that is not whole: fetch it again once the job has ended")
    return _written(names.pop(), text, runs)


def _written(name: str, text: str, runs: Path) -> Path:
    if name in {"", ".."} or Path(name).name != name:
        raise EvidenceError(f"the log carries a run whose name is none: {name!r}")
    target = runs / name
    if target.exists():
        shown = display(target)
        raise EvidenceError(
            f"{shown} is there already: 'canary replay {shown}' judges it; or fetch elsewhere with --runs"
        )
    try:
        packed = base64.b64decode(text)
        with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as archive:
            _require_plain(archive)
            target.mkdir(parents=True)
            archive.extractall(target, filter="data")
    except (tarfile.TarError, EOFError, zlib.error, ValueError) as error:
        raise EvidenceError(f"the log carries a run that cannot be unpacked: {error}") from None
    return target


def _require_plain(archive: tarfile.TarFile) -> None:
    """Raise EvidenceError for what `pack` never sends, and for more than fits, before any of it is written."""
    size = 0
    for member in archive:
        size += member.size
        if not member.isreg():
            raise EvidenceError(f"the log carries something other than plain files: {member.name!r}")
        if size > MOST_BYTES:
            raise EvidenceError(f"the log carries a run of more than {MOST_BYTES >> 20} MiB")


def main(runs: Path) -> None:
    """Print every run of a folder."""
    for run in sorted(path for path in runs.iterdir() if path.is_dir()):
        for line in pack(run):
            sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
