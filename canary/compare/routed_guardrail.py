"""Rejections by a check of content in routed traffic: two streams a class."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from canary.compare.guardrail import UNCHECKED, class_names, classes_of, lacks_check
from canary.compare.routed import Traffic
from canary.compare.traffic import contrast
from canary.contrast import Contrast
from canary.plan import Plan
from canary.records import Scale


def guardrail_contrasts(traffic: Traffic, plan: Plan) -> Iterator[Contrast]:
    """Every class that rejected anything in either arm, or that the policy asks for; values are rejections."""
    found = {arm: [classes_of(response) for response in side.responses] for arm, side in traffic.sides.items()}
    answers = [response for side in traffic.sides.values() for response in side.responses]
    lacking = {arm: sum(map(lacks_check, side.responses)) for arm, side in traffic.sides.items()}
    missing = tuple(
        f"{n} of {len(traffic.sides[arm].responses)} {arm} responses {UNCHECKED}" for arm, n in lacking.items() if n
    )
    for name in class_names(answers, [classes for of_arm in found.values() for classes in of_arm], plan):
        streams = {}
        for arm, side in traffic.sides.items():
            rows = np.array([row for row, classes in enumerate(found[arm]) if classes is not None], dtype=np.int64)
            values = np.array([name in classes for classes in found[arm] if classes is not None], dtype=np.float64)
            streams[arm] = side.stream(rows, values)
        yield contrast(traffic, f"guardrail/{name}", streams, scale=Scale.PASS_FAIL, missing=missing)
