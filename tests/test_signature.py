"""Signed records: the right key says yes, everything else is named."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Canary = Callable[..., Any]


def keys(folder: Path, name: str) -> tuple[Path, Path]:
    """A new Ed25519 key pair as PEM files: private, public."""
    pytest.importorskip("cryptography", reason="no cryptography: pip install 'canary-gate[sign]'")
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    private.write_bytes(key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo))
    return private, public


class Signed:
    """A signed run, its public key, and how to check it."""

    def __init__(self, folder: Path, canary: Canary) -> None:
        self.canary, self.folder = canary, folder
        self.private, self.public = keys(folder, "release")
        (folder / "g.jsonl").write_text("".join(f'{{"id": "{i}", "vars": {{}}, "expected": "x"}}\n' for i in range(30)))
        (folder / "a.jsonl").write_text("".join(f'{{"id": "{i}", "output": "x"}}\n' for i in range(30)))
        (folder / "s.yaml").write_text("golden_sets: [g.jsonl]\n")
        arm = {"engine": "replay", "responses": "a.jsonl"}
        pipeline = {"suite": "s.yaml", "baseline": arm | {"name": "v1"}, "candidate": arm | {"name": "v2"}}
        (folder / "p.yaml").write_text(json.dumps(pipeline))
        ran = self.run("--sign-key", self.private)
        assert ran.status in (0, 3), ran.err
        (self.path,) = (folder / "runs").iterdir()
        self.envelope = self.path / "signature.json"

    def run(self, *more: object) -> Any:
        """`canary run`."""
        return self.canary("run", self.folder / "p.yaml", "--runs", self.folder / "runs", *more)

    def verify(self, public: Path | None = None) -> Any:
        """`canary verify` with a key."""
        return self.canary("verify", self.path, "--public-key", public or self.public)

    def payload(self) -> dict[str, Any]:
        """What is signed."""
        document: dict[str, Any] = json.loads(base64.b64decode(json.loads(self.envelope.read_text())["payload"]))
        return document


@pytest.fixture
def signed(tmp_path: Path, canary: Canary) -> Signed:
    """A signed run."""
    return Signed(tmp_path, canary)


def test_a_signed_run_verifies(signed: Signed) -> None:
    """With the key it says so; without one the signature is no foreign file."""
    told = signed.verify()

    assert (told.status, told.err) == (0, "")
    assert told.out == f"{signed.path}: every file is as it was written, and signed with {signed.public}\n"
    assert signed.canary("verify", signed.path).status == 0


def test_the_statement_is_in_toto(signed: Signed) -> None:
    """Its subject is the candidate and the record; the signals are its tests."""
    from canary.manifest import digest

    found, verdict = signed.payload(), json.loads((signed.path / "verdict.json").read_text())

    assert found["_type"] == "https://in-toto.io/Statement/v1"
    assert found["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1"
    assert found["subject"] == [
        {"name": "v2", "digest": {"sha256": verdict["candidate"]["digest"]}},
        {"name": "manifest.json", "digest": {"sha256": digest((signed.path / "manifest.json").read_bytes())}},
    ]
    words = {"promote": "PASSED", "hold": "WARNED", "rollback": "FAILED"}
    assert found["predicate"]["result"] == words[verdict["verdict"]]
    tests = {name for kind in ("passedTests", "warnedTests", "failedTests") for name in found["predicate"][kind]}
    assert tests == {signal["name"] for signal in verdict["signals"]}


def test_the_signature_is_dsse(signed: Signed) -> None:
    """Anyone with the public key can check it: Ed25519 over DSSE's encoding, written out here by hand."""
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    envelope = json.loads(signed.envelope.read_text())
    payload = base64.b64decode(envelope["payload"])
    signed_bytes = b"DSSEv1 28 application/vnd.in-toto+json " + str(len(payload)).encode() + b" " + payload
    key: Any = load_pem_public_key(signed.public.read_bytes())

    assert len("application/vnd.in-toto+json") == 28
    key.verify(base64.b64decode(envelope["signatures"][0]["sig"]), signed_bytes)


def test_another_key_is_named(signed: Signed) -> None:
    """A record signed by someone else is not signed by the release owner."""
    told = signed.verify(keys(signed.folder, "other")[1])

    assert told.status == 2
    assert told.err.startswith("signature.json was made with another key: ")
    assert told.out == f"{signed.path}: every file is as it was written\n"


def test_an_edited_statement_is_named(signed: Signed) -> None:
    """A payload that says more than was signed, by the same key id."""
    envelope = json.loads(signed.envelope.read_text())
    document = signed.payload() | {"predicate": {"result": "PASSED, really"}}
    envelope["payload"] = base64.b64encode(json.dumps(document).encode()).decode()
    signed.envelope.write_text(json.dumps(envelope))

    told = signed.verify()

    assert told.status == 2
    assert "signature.json was changed: its signature by key " in told.err


def test_an_edited_record_is_named(signed: Signed) -> None:
    """A record sealed anew around an edited verdict is not the one that was signed."""
    from canary.evidence import RunDirectory, seal

    (signed.path / "summary.md").write_text("promote, by all means")
    told = signed.verify()
    assert "summary.md changed: " in told.err

    (signed.path / "manifest.json").unlink()
    seal(RunDirectory(signed.path))
    told = signed.verify()
    assert told.status == 2
    assert "manifest.json is not the one that was signed: signed " in told.err
    assert "manifest.json is not the one of which the history was told: entry 1 has " in told.err


NO_ENVELOPES = ["", "{}", "[]", '{"payload": "%", "payloadType": "x", "signatures": []}', "[" * 99_999]
NO_KEYS = [None, b"", b"no key", b"-----BEGIN PRIVATE KEY-----\nTopSecret\n-----END PRIVATE KEY-----\n"]


@pytest.mark.parametrize("content", NO_ENVELOPES)
def test_a_broken_envelope_is_named(signed: Signed, content: str) -> None:
    """What is no envelope is said to be none."""
    signed.envelope.write_text(content)

    assert signed.verify().err.startswith("signature.json ")
    assert signed.verify().status == 2


def test_an_unsigned_run_is_not_signed(signed: Signed) -> None:
    """Asked for a signature, a run without one does not verify."""
    signed.envelope.unlink()

    assert signed.verify().err == "signature.json is missing: the run is not signed\n"


@pytest.mark.parametrize("content", NO_KEYS)
def test_a_bad_key_is_refused_before_anything_is_asked(signed: Signed, content: bytes | None) -> None:
    """Exit 2, with not a byte of the key in the message, and no run was begun."""
    key = signed.folder / "bad.pem"
    if content is not None:
        key.write_bytes(content)

    told = signed.run("--sign-key", key)

    assert told.status == 2
    assert told.err.startswith("canary: '--sign-key' must name an Ed25519 key, PEM, no password (")
    assert "TopSecret" not in told.err
    assert len(list((signed.folder / "runs").iterdir())) == 1
    assert "'--public-key' must name" in signed.canary("verify", signed.path, "--public-key", key).err


def test_the_environment_may_name_the_key(signed: Signed, monkeypatch: pytest.MonkeyPatch) -> None:
    """CANARY_SIGN_KEY signs every run."""
    monkeypatch.setenv("CANARY_SIGN_KEY", str(signed.private))
    assert signed.run().status in (0, 3)
    newest = max((signed.folder / "runs").iterdir())

    assert signed.canary("verify", newest, "--public-key", signed.public).status == 0
