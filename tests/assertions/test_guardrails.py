"""Answers that a check of content rejected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from canary.assertions import parse
from canary.errors import ConfigError, MissingExtra
from canary.protocols import Embedder, Tools
from canary.records import Arm, ErrorKind, Failure, Guardrail, Prompt, Response

FILTER = Failure(kind=ErrorKind.CONTENT_FILTER, message="no")


def no_embedder() -> Embedder:
    """None is needed."""
    raise MissingExtra("this test", "embeddings")


def passed(case: Callable[..., Prompt], spec: dict[str, Any], **fields: Any) -> bool | None:
    """What one assertion says of one response."""
    response = Response(id="one", arm=Arm.CANDIDATE, output="x", **fields)
    (grade,) = parse(spec)([(case(), response)], Tools(embed=no_embedder))
    return grade.passed


@pytest.mark.parametrize(
    ("classes", "keys", "passes"),
    [
        ((), {}, True),
        (("hate",), {}, False),
        (("hate",), {"classes": ["violence"]}, True),
        (("hate", "violence"), {"classes": ["violence"]}, False),
    ],
)
def test_reads_the_record(
    case: Callable[..., Prompt], classes: tuple[str, ...], keys: dict[str, Any], *, passes: bool
) -> None:
    """It passes where nothing, or nothing of these classes, was rejected; `not-` is the opposite."""
    record = Guardrail(classes=classes)

    assert passed(case, {"type": "guardrails", **keys}, guardrail=record) is passes
    assert passed(case, {"type": "not-guardrails", **keys}, guardrail=record) is not passes


@pytest.mark.parametrize("kind", ["guardrails", "not-guardrails"])
def test_unchecked_is_unknown(case: Callable[..., Prompt], kind: str) -> None:
    """Without a record nobody knows, nor of which class where a rejection names none."""
    assert passed(case, {"type": kind}) is None
    assert passed(case, {"type": kind, "classes": ["hate"]}, error=FILTER) is None


def test_a_filter_that_names_no_class_rejected(case: Callable[..., Prompt]) -> None:
    """The engine's error says as much."""
    assert passed(case, {"type": "not-guardrails"}, error=FILTER) is True


@pytest.mark.parametrize("classes", [[], ["a b"], "violence", [1]])
def test_refuses_other_classes(classes: Any) -> None:
    """Names of classes as recorded outputs have them, one at least."""
    with pytest.raises(ConfigError, match=r"assert\.classes"):
        parse({"type": "guardrails", "classes": classes})
