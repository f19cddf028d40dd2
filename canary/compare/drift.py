"""Whether answers moved, wherever to: shown, never decided on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from canary.compare.table import Table, lacking, pooled
from canary.records import POOLED, Arm, Comparison, Measurement, Response, Scale


def drift_comparisons(table: Table, telemetry: Sequence[Measurement]) -> Iterator[Comparison]:
    """Perplexity where any answer carries log-probabilities, embeddings where they were compared."""
    surprise = {arm: table.means(arm, _surprise) for arm in Arm}
    if any(np.isfinite(values).any() for values in surprise.values()):
        yield _perplexity(table, surprise)
    for measurement in telemetry:
        if measurement.id in ("drift/embedding", "drift/duplicates"):
            yield _measured(measurement)


def _surprise(response: Response | None) -> float:
    """Nats per token."""
    if response is None or response.error is not None or not response.logprobs:
        return np.nan
    return -float(np.mean(response.logprobs))


def _perplexity(table: Table, surprise: dict[Arm, NDArray[np.float64]]) -> Comparison:
    return pooled(
        table,
        surprise,
        kind="drift",
        metric="perplexity",
        scale=Scale.UNBOUNDED,
        # an empty answer has none to give, and says so
        missing=lacking(table, lambda response: response.logprobs is None, "carry no logprobs"),
    )


def _measured(measurement: Measurement) -> Comparison:
    pairs = np.arange(measurement.n)
    return Comparison(
        name=measurement.id,
        kind="drift",
        stratum=POOLED,
        metric=measurement.id.removeprefix("drift/"),
        scale=Scale.UNBOUNDED,
        baseline=np.empty(0),
        candidate=np.empty(0),
        clusters=pairs,
        strata=0 * pairs,
        weights=(1.0,),
        measured=measurement,
        recorded=False,
        missing=(),
    )
