"""What came with an answer: how it ended, how long it took, what it cost.

What was not recorded is not known: an abstention, never a pass.
"""

from __future__ import annotations

import math
from statistics import fmean
from typing import Annotated, ClassVar

from pydantic import Field

from canary.assertions.attempt import abstain
from canary.assertions.excerpt import excerpt
from canary.assertions.lift import Lifted, Metric, Threshold, at_least, yes_or_no
from canary.protocols import Grade
from canary.records import Prompt, Response, Scale

Most = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_NORMAL = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "eos": "stop",
    "max_tokens": "length",
    "model_length": "length",
    "safety": "content_filter",
    "refusal": "content_filter",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
}
"""Other providers' words for the four of OpenAI."""


def normal(reason: str) -> str:
    """A finish reason in the words stop, length, content_filter, tool_calls; others in lower case."""
    return _NORMAL.get(reason.strip().lower(), reason.strip().lower())


class FinishReason(Lifted):
    """Passes iff the model stopped for this reason, whatever the provider calls it."""

    scale: ClassVar[Scale] = Scale.PASS_FAIL
    metric: Metric = "finish-reason"
    value: str = Field(min_length=1)

    def grade(self, prompt: Prompt, response: Response) -> Grade:  # noqa: ARG002 - not the prompt
        """Compare the normalised words."""
        if response.finish_reason is None:
            return abstain("finish_reason is not recorded")
        passed = normal(response.finish_reason) == normal(self.value)
        return yes_or_no(f"stopped for {excerpt(response.finish_reason)}, asked for {self.value}", passed=passed)


class Latency(Lifted):
    """Passes iff the whole answer took at most `threshold` milliseconds."""

    scale: ClassVar[Scale] = Scale.PASS_FAIL
    structural: ClassVar[bool] = False
    metric: Metric = "latency"
    threshold: Most

    def grade(self, prompt: Prompt, response: Response) -> Grade:  # noqa: ARG002 - not the prompt
        """Compare `total_s`."""
        if response.total_s is None:
            return abstain("total_s is not recorded")
        taken = response.total_s * 1000
        return yes_or_no(f"took {taken:.4g} ms, at most {self.threshold:g} allowed", passed=taken <= self.threshold)


class Cost(Lifted):
    """Passes iff the answer cost at most `threshold` US dollars."""

    scale: ClassVar[Scale] = Scale.PASS_FAIL
    structural: ClassVar[bool] = False
    metric: Metric = "cost"
    threshold: Most

    def grade(self, prompt: Prompt, response: Response) -> Grade:  # noqa: ARG002 - not the prompt
        """Compare `cost_usd`."""
        if response.cost_usd is None:
            return abstain("cost_usd is not recorded")
        passed = response.cost_usd <= self.threshold
        return yes_or_no(f"cost {response.cost_usd:.4g} USD, at most {self.threshold:g} allowed", passed=passed)


def perplexity(response: Response) -> float | None:
    """Exp of the mean negative log-probability; None where none is recorded."""
    return math.exp(min(700.0, -fmean(response.logprobs))) if response.logprobs else None


class Perplexity(Lifted):
    """Passes iff the perplexity of the answer is at most `threshold`."""

    scale: ClassVar[Scale] = Scale.PASS_FAIL
    metric: Metric = "perplexity"
    threshold: Most

    def grade(self, prompt: Prompt, response: Response) -> Grade:  # noqa: ARG002 - not the prompt
        """From the recorded log-probabilities."""
        value = perplexity(response)
        if value is None:
            return abstain("logprobs are not recorded")
        return yes_or_no(f"perplexity {value:.4g}, at most {self.threshold:g} allowed", passed=value <= self.threshold)


class PerplexityScore(Lifted):
    """1 / (1 + perplexity), which passes at the threshold."""

    scale: ClassVar[Scale] = Scale.BOUNDED
    metric: Metric = "perplexity-score"
    threshold: Threshold = 0.5

    def grade(self, prompt: Prompt, response: Response) -> Grade:  # noqa: ARG002 - not the prompt
        """From the recorded log-probabilities."""
        value = perplexity(response)
        if value is None:
            return abstain("logprobs are not recorded")
        return at_least(1 / (1 + value), self.threshold, "perplexity-score", f"(perplexity {value:.4g})")
