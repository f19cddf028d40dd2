"""A run directory as lines of a log, which is all that a job's interface brings back.

    python -m canary.run.parcel send RUNS

prints every run of a folder. A line is the mark, the run's name, its number
of how many, the digest of the whole, and a piece of a compressed archive.

    python -m canary.run.parcel receive RUNS

puts the run that travelled along with a job into a folder.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from importlib import resources
from pathlib import Path
from urllib.parse import quote, unquote

from canary.document import display
from canary.errors import EvidenceError
from canary.run.succession import succeed

MODULE = "canary_carried"
"""A folder that a job has among its modules, with the run that it goes on with."""
_FILE = "parcel"
MARK = "@canary-run"
MOST_BYTES = 2 << 30
PIECE = 48_000
"""Characters of one line: pipes and logs pass it whole."""


def is_parcel(line: str) -> bool:
    """Whether a line of the log is for us and not for people."""
    return line.startswith(f"{MARK} ")


def pack(run: Path) -> Iterator[str]:
    """The lines of one run."""
    name, buffer = quote(run.name, safe=""), io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for path in sorted(path for path in run.rglob("*") if path.is_file()):
            archive.add(path, arcname=path.relative_to(run).as_posix())
    text = base64.b64encode(buffer.getvalue()).decode()
    digest = hashlib.sha256(text.encode()).hexdigest()
    pieces = [text[at : at + PIECE] for at in range(0, len(text), PIECE)]
    for number, piece in enumerate(pieces, 1):
        yield f"{MARK} {name} {number}/{len(pieces)} {digest} {piece}"


def carry(run: Path, folder: Path) -> Path:
    """The module, made in `folder`, that takes a run along to a cluster.

    Raises EvidenceError for a name that cannot be shown, or hides it.
    """
    if not _is_name(run.name):
        raise EvidenceError(
            f"{display(run)}: the folder's name must be printable and not begin with a dot to travel to a cluster"
        )
    module = folder / MODULE
    module.mkdir()
    (module / _FILE).write_text("".join(f"{line}\n" for line in pack(run)), encoding="ascii")
    return module


def receive(runs: Path) -> None:
    """Puts the run that was taken along into `runs`."""
    unpack(resources.files(MODULE).joinpath(_FILE).read_text(encoding="ascii").splitlines(), runs)


def unpack(lines: Iterable[str], runs: Path) -> Path | None:
    """Writes the run that the log carries into `runs`; None where it carries none.

    A run that was cut off is replaced by one that went on with it. Raises
    EvidenceError where a part is missing or damaged, or another run of this
    name is there.
    """
    parts = [line.split(" ") for line in map(str.rstrip, lines) if is_parcel(line)]
    if not parts:
        return None
    names, digests = ({part[at] for part in parts if len(part) == 5} for at in (1, 3))
    pieces = {part[2]: part[4] for part in parts if len(part) == 5}
    text = "".join(pieces.get(f"{number}/{len(pieces)}", "") for number in range(1, len(pieces) + 1))
    if len(names) != 1 or digests != {hashlib.sha256(text.encode()).hexdigest()}:
        raise EvidenceError("the log carries a run that is not whole: fetch it again once the job has ended")
    return _written(unquote(names.pop()), text, runs)


def _written(name: str, text: str, runs: Path) -> Path:
    if not _is_name(name):
        raise EvidenceError(f"the log carries a run whose name is none: {name!r}")
    try:
        packed = base64.b64decode(text)
        with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as archive:
            _require_plain(archive)
            _extract(archive, runs / name)
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error, ValueError) as error:
        raise EvidenceError(f"the log carries a run that cannot be unpacked: {error}") from None
    return runs / name


def _is_name(name: str) -> bool:
    """Whether it names one folder, none that is hidden, and nothing that styles a terminal."""
    return bool(name) and Path(name).name == name and not name.startswith(".") and name.isprintable()


def _extract(archive: tarfile.TarFile, target: Path) -> None:
    """All of it or nothing."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetched-", dir=target.parent) as folder:
        archive.extractall(Path(folder) / "run", filter="data")
        succeed(Path(folder) / "run", target, aside=Path(folder) / "before")


def _require_plain(archive: tarfile.TarFile) -> None:
    """Raise EvidenceError for what `pack` never sends, and for more than fits, before any of it is written."""
    size = 0
    for member in archive:
        size += member.size
        if not member.isreg():
            raise EvidenceError(f"the log carries something other than plain files: {member.name!r}")
        if size > MOST_BYTES:
            raise EvidenceError(f"the log carries a run of more than {MOST_BYTES >> 20} MiB")


def send(runs: Path) -> None:
    """Print every run of a folder; what is hidden there is half made, or half removed."""
    for run in sorted(path for path in runs.iterdir() if path.is_dir() and not path.name.startswith(".")):
        sys.stdout.write("\n")  # whoever was killed may have left half a line
        for line in pack(run):
            sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    {"send": send, "receive": receive}[sys.argv[1]](Path(sys.argv[2]))
