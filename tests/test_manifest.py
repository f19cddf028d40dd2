"""The chain of records: whatever was changed or taken away is named."""

from __future__ import annotations

import pytest

from canary.manifest import File, Previous, Seal, check_chain, compare_files, digest, last, read, removed

EMPTY = File(sha256="e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", size=0)
OTHER = File(sha256="0" * 64, size=7)


def chain(*names: str) -> dict[str, bytes]:
    """Records sealed one after the other."""
    records: dict[str, bytes] = {}
    for name in names:
        files = {f"{name}.json": EMPTY}
        records[name] = Seal(schema="canary-gate/manifest/1", files=files, previous=last(records)).dumps()
    return records


def test_manifest_is_read_back() -> None:
    """What was written is read, with the same digest every time."""
    (document,) = chain("a").values()

    manifest = read(document)

    assert manifest is not None
    assert manifest.files == {"a.json": EMPTY}
    assert manifest.previous is None
    assert manifest.dumps() == document


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b'{"schema": "canary-gate/manifest/2", "files": {}, "previous": null}',
        b'{"schema": "canary-gate/manifest/1", "files": {}}',
        b'{"schema": "canary-gate/manifest/1", "files": {}, "previous": null, "note": "trust me"}',
        b'{"schema": "canary-gate/manifest/1", "files": {"a": {"sha256": "abc", "size": 1}}, "previous": null}',
    ],
)
def test_other_documents_are_no_manifest(document: bytes) -> None:
    """A file of another program, another version, or with a key too many is no manifest."""
    assert read(document) is None


def test_each_record_follows_the_last() -> None:
    """Each record names the one sealed before it."""
    records = chain("b", "a", "c")

    assert last(records) == Previous(run="c", sha256=digest(records["c"]))
    assert [read(document).previous.run for document in list(records.values())[1:]] == ["b", "a"]  # type: ignore[union-attr]
    assert list(check_chain(records)) == []


def test_last_of_none() -> None:
    """The first record follows nothing; files of other programs are no records."""
    assert last({}) is None
    assert last({"web-app": b'{"name": "icons"}'}) is None


def test_renamed_folders_are_fine() -> None:
    """A record is known by its content: renaming or copying its folder cuts nothing."""
    records = chain("a", "b", "c")
    records["renamed"] = records.pop("a")
    records["copy"] = records["b"]

    assert list(check_chain(records)) == []


def test_missing_record_is_named() -> None:
    """A record that was removed is named by the one that followed it, and cuts nothing that is left."""
    records = chain("a", "b", "c")
    gone = digest(records.pop("b"))

    assert list(check_chain(records)) == []
    assert list(removed(records)) == [f"record b (sha256 {gone}), on which c was sealed, is no longer in this folder"]


@pytest.mark.parametrize("forged", [chain("x")["x"], b"{}"])
def test_changed_record_is_named(forged: bytes) -> None:
    """A record that was changed, well-formed or not, is named by the one that followed it."""
    records = chain("a", "b", "c")
    sealed = digest(records["a"])
    records["a"] = forged

    told = f"record a, on which b was sealed (sha256 {sealed}), changed since"
    assert list(check_chain(records)) == [f"the chain is cut: {told} (its manifest.json is now {digest(forged)})"]


def test_fork_is_named() -> None:
    """Two records that follow the same one, or none, did not come from one chain."""
    records = chain("a", "b") | {"c": chain("a", "c")["c"], "z": chain("z")["z"]}

    assert list(check_chain(records)) == [
        "the chain forks: a, z each claim to be the first record",
        f"the chain forks: b, c each claim to be the one after record {digest(records['a'])}",
    ]


def test_sealing_goes_on_after_a_fork() -> None:
    """Where several records are last, the latest name is followed."""
    records = chain("a", "b") | {"c": chain("a", "c")["c"]}

    assert last(records) == Previous(run="c", sha256=digest(records["c"]))


def test_files_are_compared() -> None:
    """Each file that changed, is missing or was added has its own sentence."""
    expected = {"kept": EMPTY, "changed": EMPTY, "gone": EMPTY}
    found = {"kept": EMPTY, "changed": OTHER, "new": OTHER}

    assert list(compare_files(expected, found)) == [
        f"changed changed: the manifest has sha256 {EMPTY.sha256} (0 bytes), found {OTHER.sha256} (7 bytes)",
        f"gone is missing (the manifest has sha256 {EMPTY.sha256})",
        "new was added after the run was sealed (it is not in the manifest)",
    ]
