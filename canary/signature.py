"""A signature over a run's seal, in formats that others read.

A DSSE envelope (https://github.com/secure-systems-lab/dsse, protocol version 1)
around an in-toto Statement v1 with the predicate test-result v0.1
(https://github.com/in-toto/attestation), signed with Ed25519. It names the
candidate that was tested and the sha256 of the record's manifest, which names
every file.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from pathlib import Path
from typing import Any

from canary.errors import ConfigError, MissingExtra
from canary.records import Decision, Status, Verdict

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://in-toto.io/attestation/test-result/v0.1"
RESULTS = {Decision.PROMOTE: "PASSED", Decision.HOLD: "WARNED", Decision.ROLLBACK: "FAILED"}
TESTS = {Status.PASS: "passedTests", Status.INCONCLUSIVE: "warnedTests", Status.FAIL: "failedTests"}


def load_signing_key(path: Path) -> Any:
    """The Ed25519 private key of a PEM file without a password. Raises ConfigError where it is none."""
    serialization, private, _ = _library()
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"'--sign-key' must name an Ed25519 key, PEM, no password ({_why(path, error)})") from None
    if not isinstance(key, private):
        raise ConfigError(f"'--sign-key' must name an Ed25519 key (got another kind in {path})")
    return key


def load_public_key(path: Path) -> Any:
    """The Ed25519 public key of a PEM file. Raises ConfigError where it is none."""
    serialization, _, public = _library()
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"'--public-key' must name an Ed25519 public key, PEM ({_why(path, error)})") from None
    if not isinstance(key, public):
        raise ConfigError(f"'--public-key' must name an Ed25519 key (got another kind in {path})")
    return key


def _why(path: Path, error: Exception) -> str:
    """What is the matter with a key file, without a byte of it."""
    return f"{path}: {error.strerror}" if isinstance(error, OSError) else f"{path} is none"


def _library() -> tuple[Any, type, type]:
    try:
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - an extra
        from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415
    except ImportError:
        raise MissingExtra("a signature", "sign") from None
    return serialization, ed25519.Ed25519PrivateKey, ed25519.Ed25519PublicKey


def sign(verdict: Verdict, seal: str, key: Any) -> str:
    """The envelope's JSON: the verdict and the sha256 of the manifest, signed."""
    payload = json.dumps(_statement(verdict, seal), sort_keys=True, separators=(",", ":")).encode()
    signature = key.sign(_encoded(PAYLOAD_TYPE, payload))
    envelope = {
        "payloadType": PAYLOAD_TYPE,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [{"keyid": key_id(key.public_key()), "sig": base64.b64encode(signature).decode()}],
    }
    return json.dumps(envelope, indent=2) + "\n"


def key_id(public: Any) -> str:
    """The sha256 of a public key's DER."""
    serialization, _, _ = _library()
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def check(envelope: bytes, seal: str, public: Any) -> list[str]:
    """What speaks against a signature on the record with that seal, one sentence each."""
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - an extra

    try:
        document = json.loads(envelope)
        payload = base64.b64decode(document["payload"], validate=True)
        signatures = [(str(s["keyid"]), base64.b64decode(s["sig"], validate=True)) for s in document["signatures"]]
        signed = _encoded(document["payloadType"], payload)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, binascii.Error):
        return ["signature.json is no DSSE envelope, or was changed"]
    for _, signature in signatures:
        try:
            public.verify(signature, signed)
        except InvalidSignature:
            continue
        return list(_against(payload, document["payloadType"], seal))
    made = ", ".join(sorted(name for name, _ in signatures)) or "no key"
    if key_id(public) in {name for name, _ in signatures}:
        return [f"signature.json was changed: its signature by key {key_id(public)} does not fit what it says"]
    return [f"signature.json was made with another key: {made} (got --public-key {key_id(public)})"]


def _against(payload: bytes, kind: str, seal: str) -> list[str]:
    """What a payload that is signed says of another record."""
    statement = json.loads(payload)
    if (kind, statement.get("_type"), statement.get("predicateType")) != (PAYLOAD_TYPE, STATEMENT, PREDICATE):
        return ["signature.json signs something other than a test result"]
    signed = [subject["digest"].get("sha256") for subject in statement["subject"] if subject["name"] == "manifest.json"]
    if signed != [seal]:
        return [f"manifest.json is not the one that was signed: signed {', '.join(signed)}, found {seal}"]
    return []


def _encoded(kind: str, payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: what is signed."""
    return b"DSSEv1 %d %b %d %b" % (len(kind.encode()), kind.encode(), len(payload), payload)


def _statement(verdict: Verdict, seal: str) -> dict[str, Any]:
    tests: dict[str, list[str]] = {name: [] for name in TESTS.values()}
    for signal in verdict.signals:
        tests[TESTS[signal.status]].append(signal.name)
    return {
        "_type": STATEMENT,
        "subject": [
            {"name": verdict.candidate.name, "digest": {"sha256": verdict.candidate.digest}},
            {"name": "manifest.json", "digest": {"sha256": seal}},
        ],
        "predicateType": PREDICATE,
        "predicate": {
            "result": RESULTS[verdict.verdict],
            "configuration": [
                {"name": f"baseline {verdict.baseline.name}", "digest": {"sha256": verdict.baseline.digest}},
                *({"name": name, "digest": {"sha256": value}} for name, value in sorted(_digests(verdict).items())),
            ],
            **tests,
        },
    }


def _digests(verdict: Verdict) -> dict[str, str]:
    """The digests of the plan and of each part of the evidence."""
    return {name: value for name, value in verdict.record.items() if isinstance(value, str) and len(value) == 64}
