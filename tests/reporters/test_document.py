"""The document other programs read."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest

from canary.errors import GateError
from canary.plan import Plan
from canary.records import Composite, Decision, Evidence, Signal, Status, Verdict
from canary.reporters.document import dump, read, render, to_document

MakeVerdict = Callable[..., Verdict]

FIELDS = "schema verdict reason stage baseline candidate alpha looks signals composites warnings record"
SIGNAL = (
    "name kind stratum metric tier status baseline candidate effect estimate low high margin n method p_harm "
    "p_harm_adjusted p_noninferior need reason warnings runbook"
)


@pytest.fixture
def verdict(make_verdict: MakeVerdict, lost_lookup: Signal, open_code: Signal) -> Verdict:
    """Two signals, a composite and a nested record."""
    composite = Composite(name="rollback", status=Status.FAIL, expression={"any": ["*"]}, members=("quality/all/pass",))
    record = {"responses": "6" * 64, "plan": "3" * 64, "nested": {"b": (1, 2), "a": None}}
    return make_verdict(Decision.ROLLBACK, lost_lookup, open_code, composites=(composite,), record=record)


def test_fields_are_the_contract(verdict: Verdict) -> None:
    """Exactly the documented fields, in the documented order."""
    document = to_document(verdict)

    assert FIELDS.split() == list(document)
    assert SIGNAL.split() == list(document["signals"][0])
    assert document["baseline"] == {"name": "v1", "digest": "1" * 64}


def test_words_are_lower_case(verdict: Verdict) -> None:
    """Statuses, tiers and the verdict are lower-case words."""
    document = to_document(verdict)

    assert [signal["status"] for signal in document["signals"]] == ["fail", "inconclusive"]
    assert (
        document["verdict"],
        document["signals"][0]["tier"],
        document["composites"][0]["status"],
    ) == ("rollback", "blocking", "fail")


def test_undefined_is_null(verdict: Verdict) -> None:
    """What is not defined is null, never left out."""
    document = json.loads(dump(to_document(verdict)))

    assert document["signals"][0]["need"] is None
    assert document["signals"][1]["runbook"] is None


def test_bytes_do_not_depend_on_the_order_of_the_record(
    verdict: Verdict, make_evidence: Callable[..., Evidence], plan: Plan
) -> None:
    """Equal verdicts give equal text, however their mappings were filled."""
    turned = dataclasses.replace(
        verdict,
        record=dict(reversed(list(verdict.record.items()))),
        alpha=dict(reversed(list(verdict.alpha.items()))),
    )

    assert render(verdict, make_evidence(), plan) == render(turned, make_evidence(), plan)
    assert render(verdict, make_evidence(), plan).endswith("}\n")


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_refuses_what_is_not_finite(make_verdict: MakeVerdict, lost_lookup: Signal, number: float) -> None:
    """NaN and infinities are refused with their place."""
    verdict = make_verdict(Decision.HOLD, lost_lookup, dataclasses.replace(lost_lookup, high=number))

    with pytest.raises(GateError, match=r"^'verdict.signals\[1\].high' must be finite \(got"):
        to_document(verdict)


def test_floats_survive(make_verdict: MakeVerdict, lost_lookup: Signal) -> None:
    """A float reads back as the same float."""
    numbers: dict[str, Any] = {"low": -0.1 - 0.2, "high": 1e-300, "p_harm": 5e-324, "estimate": 1 / 3}
    document = to_document(make_verdict(Decision.HOLD, dataclasses.replace(lost_lookup, **numbers)))
    read = json.loads(dump(document))["signals"][0]

    assert numbers == {name: read[name] for name in numbers}


def test_hostile_text_stays_ascii(make_verdict: MakeVerdict, lost_lookup: Signal) -> None:
    """Escapes, bidi marks and lone surrogates cannot reach a terminal raw."""
    hostile = "\x1b[31m\u202e\ud800\x7f</script>"
    text = dump(to_document(make_verdict(Decision.HOLD, dataclasses.replace(lost_lookup, name=hostile))))

    assert text.replace("\n", "").isascii()
    assert text.replace("\n", "").isprintable()
    assert hostile == json.loads(text)["signals"][0]["name"]


def test_reads_back(verdict: Verdict) -> None:
    """A document gives the verdict it was written from, and what is none of ours is refused."""
    text = dump(to_document(verdict))

    assert dump(to_document(read(text))) == text
    for broken in ("", "[]", "{}", text.replace("verdict/1", "verdict/9"), text.replace('"fail"', '"maybe"')):
        with pytest.raises(ValueError, match=r"."):
            read(broken)


def test_golden(verdict: Verdict, golden: Callable[[str, str], None]) -> None:
    """The whole document, to the byte."""
    golden("verdict.json.stdout", dump(to_document(verdict)))
