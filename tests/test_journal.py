"""The journal: nothing is lost or doubled, however the writer ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from canary import appended
from canary.codec import encode
from canary.errors import EvidenceError
from canary.journal import Journal, _is_there
from canary.records import Arm, Response

WRITER = """
import sys
from pathlib import Path
from canary.journal import Journal
from canary.records import Arm, Response

with Journal.open(Path(sys.argv[1])) as journal:
    for i in range(int(sys.argv[2])):
        key = (f"case-{i}", 0)
        if key not in journal.completed:
            arms = [Response(id=key[0], arm=arm, output="word " * 200) for arm in (Arm.BASELINE, Arm.CANDIDATE)]
            journal.append(*arms)
        print(i, flush=True)
    if sys.argv[3:]:
        sys.stdin.read()
"""


def pair(name: str, repeat: int = 0) -> tuple[Response, Response]:
    """Both arms' answers to one case."""
    baseline = Response(id=name, arm=Arm.BASELINE, output=f"{name} from the baseline", repeat=repeat)
    return baseline, replace(baseline, arm=Arm.CANDIDATE)


def lines(*responses: Response) -> bytes:
    """What the journal holds of these responses."""
    return b"".join(map(encode, responses))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the journal is."""
    return tmp_path / "responses.jsonl"


def test_pairs_are_appended(path: Path) -> None:
    """A pair is two lines, baseline first, and it is known as completed."""
    with Journal.open(path) as journal:
        journal.append(*pair("a"))
        journal.append(*pair("a", 1))

        assert journal.completed == {("a", 0), ("a", 1)}

    assert path.read_bytes() == lines(*pair("a"), *pair("a", 1))


def test_appended_before_it_is_closed(path: Path) -> None:
    """A pair is with the operating system as soon as append returns."""
    with Journal.open(path) as journal:
        journal.append(*pair("a"))

        assert path.read_bytes() == lines(*pair("a"))


def test_journal_goes_on(path: Path) -> None:
    """A journal opened again knows what is done, changes nothing and goes on."""
    with Journal.open(path) as journal:
        journal.append(*pair("a"))
    inode = path.stat().st_ino

    with Journal.open(path) as journal:
        assert journal.completed == {("a", 0)}
        assert journal.warnings == ()
        journal.append(*pair("b"))

    assert path.read_bytes() == lines(*pair("a"), *pair("b"))
    assert path.stat().st_ino == inode


def test_every_cut_is_recovered(path: Path) -> None:
    """Wherever a crash cut the file, the whole pairs stay and resuming gives the uninterrupted file."""
    pairs = [pair("a"), pair("b\u2028")]
    whole = lines(*pairs[0], *pairs[1])
    ends = [len(lines(*pairs[0])), len(whole)]
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])

        with Journal.open(path) as journal:
            survived = sum(end <= cut for end in ends)
            assert journal.completed == {(pairs[i][0].id, 0) for i in range(survived)}
            assert path.read_bytes() == whole[: [0, *ends][survived]]
            assert bool(journal.warnings) == (cut not in (0, *ends))
            for baseline, candidate in pairs[survived:]:
                journal.append(baseline, candidate)

        assert path.read_bytes() == whole


def test_torn_line_longer_than_a_block(path: Path) -> None:
    """A torn line of any length is found and cut."""
    long = replace(pair("b")[0], output="x" * 3 * appended.BLOCK)
    path.write_bytes(lines(*pair("a"), long)[:-9])

    with Journal.open(path) as journal:
        assert journal.completed == {("a", 0)}
        assert f"cut off a torn last line of {len(encode(long)) - 9} bytes" in journal.warnings[0]

    assert path.read_bytes() == lines(*pair("a"))


def test_half_pair_is_asked_again(path: Path) -> None:
    """A pair of which one arm is missing is dropped, wherever it stands, and reported."""
    path.write_bytes(lines(*pair("a"), pair("b")[1], *pair("c"), pair("c", 1)[0]))

    with Journal.open(path) as journal:
        assert journal.completed == {("a", 0), ("c", 0)}
        assert "asking again what only one arm had answered: 'b' repeat 0, 'c' repeat 1" in journal.warnings[0]

    assert path.read_bytes() == lines(*pair("a"), *pair("c"))
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_nothing_recorded_on_one_side(path: Path) -> None:
    """An answer that was not recorded writes no line; such a pair counts as completed until a crash."""
    with Journal.open(path) as journal:
        journal.append(pair("a")[0], None)
        journal.append(None, pair("b")[1])
        journal.append(None, None)

        assert journal.completed == {("a", 0), ("b", 0)}

    assert path.read_bytes() == lines(pair("a")[0], pair("b")[1])


@pytest.mark.parametrize("again", [pair("a"), (pair("a")[0], None)])
def test_pair_is_not_asked_twice(path: Path, again: tuple[Response, Response | None]) -> None:
    """A pair that is already there is refused."""
    with Journal.open(path) as journal:
        journal.append(*pair("a"))

        with pytest.raises(EvidenceError, match="the pair 'a' repeat 0 is already there"):
            journal.append(*again)


@pytest.mark.parametrize(
    "answers",
    [
        (pair("a")[1], pair("a")[0]),
        (pair("a")[0], pair("b")[1]),
        (pair("a")[0], pair("a", 1)[1]),
        (None, pair("a")[0]),
    ],
)
def test_only_pairs_are_appended(path: Path, answers: tuple[Response | None, Response]) -> None:
    """Swapped arms, or answers to two questions, are a mistake of the caller."""
    with Journal.open(path) as journal, pytest.raises(ValueError, match="not the two arms' answers to one pair"):
        journal.append(*answers)

    assert path.read_bytes() == b""


def test_doubled_answer_is_tampering(path: Path) -> None:
    """The same answer twice cannot come from a crash: an error, and the file is left alone."""
    content = lines(*pair("a"), *pair("b"), pair("a")[1])
    path.write_bytes(content)

    with pytest.raises(EvidenceError, match="the candidate answered 'a' repeat 0 twice"):
        Journal.open(path)
    assert path.read_bytes() == content


def test_line_torn_in_the_middle_is_an_error(path: Path) -> None:
    """A broken line before the last one cannot come from a crash: file and line are named."""
    path.write_bytes(encode(pair("a")[0])[:-20] + b"\n" + lines(*pair("b")))

    with pytest.raises(EvidenceError, match=r"responses\.jsonl:1: Invalid JSON"):
        Journal.open(path)


def test_refused_recovery_lets_go(path: Path) -> None:
    """After a refusal the lock is free: the file can be repaired and opened."""
    path.write_bytes(b"\n")
    with pytest.raises(EvidenceError):
        Journal.open(path)
    path.write_bytes(b"")

    Journal.open(path).close()


def test_closing_twice(path: Path) -> None:
    """Closing twice is harmless and leaves only the journal behind."""
    journal = Journal.open(path)
    journal.close()
    journal.close()

    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_another_writer_is_named(path: Path) -> None:
    """While a process writes, another is refused and told its pid; afterwards it is let in."""
    command = [sys.executable, "-c", WRITER, str(path), "1", "wait"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        writer.stdout.readline()

        with pytest.raises(EvidenceError, match=f"process {writer.pid} is writing this run"):
            Journal.open(path)
        writer.stdin.close()
        writer.wait()

    with Journal.open(path) as journal:
        assert journal.completed == {("case-0", 0)}


def test_one_writer_at_a_time(path: Path) -> None:
    """Of many that open and close at once, never two are in, and nothing is lost."""
    inside: list[int] = []
    most: list[int] = []

    def write(number: int) -> None:
        for repeat in range(20):
            while True:
                try:
                    journal = Journal.open(path)
                except EvidenceError:
                    continue
                break
            inside.append(number)
            most.append(len(inside))
            journal.append(*pair(f"case-{number}", repeat))
            inside.remove(number)
            journal.close()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with Journal.open(path) as journal:
        assert len(journal.completed) == 80
        assert journal.warnings == ()
    assert max(most) == 1


def test_lock_that_was_removed_meanwhile(path: Path) -> None:
    """A lock on a file that its last holder removed locks nothing."""
    handle = os.open(path, os.O_CREAT | os.O_RDWR)
    try:
        assert _is_there(path, handle)
        path.unlink()
        assert not _is_there(path, handle)
        path.touch()
        assert not _is_there(path, handle)
    finally:
        os.close(handle)


@pytest.mark.parametrize("after", [1, 7, 40])
def test_kill_minus_nine(path: Path, after: int) -> None:
    """Killed at any moment and resumed, the journal equals an uninterrupted one."""
    count = 200
    killed = [sys.executable, "-c", WRITER, str(path), str(count), "wait"]
    with subprocess.Popen(killed, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        said = [int(writer.stdout.readline()) for _ in range(after)]
        writer.send_signal(signal.SIGKILL)
        said += map(int, writer.stdout.read().split())
    with Journal.open(path) as journal:
        done = len(journal.completed)
        assert {(f"case-{i}", 0) for i in said} <= journal.completed
        assert done - len(said) in (0, 1)  # it may have died between writing a pair and saying so

    subprocess.run([sys.executable, "-c", WRITER, str(path), str(count)], check=True, capture_output=True)

    other = path.with_name("uninterrupted.jsonl")
    subprocess.run([sys.executable, "-c", WRITER, str(other), str(count)], check=True, capture_output=True)
    assert path.read_bytes() == other.read_bytes()


def test_full_disk_leaves_whole_pairs(path: Path) -> None:
    """Where a write cannot be finished, it is taken back, so that later pairs follow whole ones."""
    script = WRITER.replace(
        "import sys", "import resource, sys\nresource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))"
    )

    failed = subprocess.run([sys.executable, "-c", script, str(path), "9"], check=False, capture_output=True, text=True)

    assert "File too large" in failed.stderr
    with Journal.open(path) as journal:
        assert journal.completed == {("case-0", 0), ("case-1", 0)}
        assert journal.warnings == ()


def test_a_deleted_journal_is_noticed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is still asked would be paid for and lost."""
    monkeypatch.setattr(appended, "SYNC_EVERY", 2)
    journal = Journal.open(path)
    journal.append(*pair("a"))
    path.unlink()

    with pytest.raises(EvidenceError, match=r"responses\.jsonl: was deleted while it was written"):
        journal.append(*pair("b"))


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_file_is_no_journal(path: Path, make: Callable[[Path], None]) -> None:
    """A pipe cannot be read back, a device never ends."""
    make(path)

    with pytest.raises(EvidenceError, match=r"responses\.jsonl: is no file"):
        Journal.open(path)


def test_sync_comes_in_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is reached after so many pairs, after so many seconds, and at the end."""
    now = 100.0
    synced: list[int] = []
    monkeypatch.setattr("canary.appended.time.monotonic", lambda: now)
    monkeypatch.setattr(appended, "SYNC_EVERY", 3)
    journal = Journal.open(path)
    monkeypatch.setattr("canary.appended.os.fsync", synced.append)

    for i in range(4):
        journal.append(*pair(f"a{i}"))
    assert len(synced) == 1
    now += appended.SYNC_SECONDS
    journal.append(*pair("b"))
    assert len(synced) == 2
    journal.close()
    assert len(synced) == 3
