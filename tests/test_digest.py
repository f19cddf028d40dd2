"""Equal evidence has equal digests, which anyone can compute."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.codec import encode, evidence_digests, golden_digest, line_digests
from canary.records import Arm, Evidence, Response
from tests.test_codec import ANSWER, CASE, SCORED

EVIDENCE = Evidence(
    prompts=tuple(replace(CASE, id=f"c{i}", digest=f"d{i}", vars={"é\ud800": i}) for i in range(9)),
    responses=tuple(
        replace(ANSWER, id=f"c{i}", arm=arm, scores={"b": 0.1, "a": True}, output="\u2028")
        for i in range(9)
        for arm in Arm
    ),
    scores=tuple(replace(SCORED, id=f"c{i}", arm=arm, metric=m) for i in range(9) for arm in Arm for m in "xyz"),
)


def test_digest_has_four_parts() -> None:
    """The digests name prompts, each arm's responses and scores, each their own."""
    digests = evidence_digests(EVIDENCE)

    assert list(digests) == ["prompts", "baseline_responses", "candidate_responses", "scores"]
    assert len(set(digests.values())) == 4


@given(st.randoms(use_true_random=False))
def test_order_is_no_matter(shuffled: random.Random) -> None:
    """Shuffled evidence has the same digests."""
    parts = {name: list(getattr(EVIDENCE, name)) for name in ("prompts", "responses", "scores")}
    for part in parts.values():
        shuffled.shuffle(part)

    assert evidence_digests(Evidence(**{name: tuple(part) for name, part in parts.items()})) == evidence_digests(
        EVIDENCE
    )


@pytest.mark.parametrize("part", ["prompts", "responses", "scores"])
def test_every_record_counts(part: str) -> None:
    """Leaving out one record changes its part's digest and no other's."""
    fewer = evidence_digests(replace(EVIDENCE, **{part: getattr(EVIDENCE, part)[1:]}))

    changed = {name for name, digest in evidence_digests(EVIDENCE).items() if fewer[name] != digest}

    assert changed == {"baseline_responses" if part == "responses" else part}


@pytest.mark.parametrize("seed", ["0", "1", "4242"])
def test_hash_seed_is_no_matter(seed: str) -> None:
    """Another PYTHONHASHSEED and another order of dictionaries give the same digests."""
    script = (
        "import json; from canary.codec import evidence_digests; from canary.records import *\n"
        "names = sorted({'b', 'a', 'c'}, key=hash)\n"
        "one = lambda i: Response(id=i, arm=Arm.BASELINE, output='', scores=dict.fromkeys(names, 0.5))\n"
        "responses = tuple(map(one, names))\n"
        "print(json.dumps(evidence_digests(Evidence(prompts=(), responses=responses, scores=()))))"
    )
    responses = tuple(Response(id=i, arm=Arm.BASELINE, output="", scores=dict.fromkeys("cab", 0.5)) for i in "abc")

    printed = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
    ).stdout

    assert json.loads(printed) == evidence_digests(Evidence(prompts=(), responses=responses, scores=()))


def test_digest_with_ordinary_tools(tmp_path: Path) -> None:
    """Anyone can recompute a digest from the file with grep, sort and sha256sum."""
    file = tmp_path / "responses.jsonl"
    quoting = replace(ANSWER, id='"arm":"baseline"', arm=Arm.CANDIDATE, output='{"arm":"baseline"}')
    responses = (*EVIDENCE.responses, quoting)
    file.write_bytes(b"".join(map(encode, responses)))

    command = f'grep \'"arm":"baseline"\' {file} | LC_ALL=C sort | sha256sum'
    printed = subprocess.run(command, shell=True, capture_output=True, check=True, text=True).stdout

    assert printed.split()[0] == evidence_digests(replace(EVIDENCE, responses=responses))["baseline_responses"]


def test_golden_digest_is_of_contents() -> None:
    """The same cases in another order are the same golden set; one other case is not."""
    cases = [replace(CASE, digest=digest) for digest in "abc"]

    assert golden_digest(cases) == golden_digest(cases[::-1])
    assert golden_digest(cases) != golden_digest(cases[1:])
    assert golden_digest(cases) != golden_digest([*cases, cases[0]])


def test_digests_of_lines_are_those_of_their_records() -> None:
    """What a run's files hold needs no second encoding, whatever the texts say."""
    texts = ['says "arm":"baseline"', "plain", 'x"arm":"candidate"']
    responses = [Response(id=f"{i}", arm=arm, output=text) for i, text in enumerate(texts) for arm in Arm]
    evidence = Evidence(prompts=(), responses=tuple(responses), scores=())

    assert line_digests([], map(encode, reversed(responses)), []) == evidence_digests(evidence)
