"""What a user may tolerate: the policy file, with every default.

Drops and increases are positive fractions, ratios are above one. Where the
numbers come from: docs/policy.md ("Every key").
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from canary.expression import Any_, Expression, conjoined_signals
from canary.records import POOLED, Scale, Tier
from canary.timing import LatencyRules
from canary.written import ClassName, Fraction, Level, Ratio, Seconds, Written


class Alpha(Written):
    """Error rates the verdict promises."""

    rollback: Level = Field(0.05, description="P(rollback | nothing changed), over the whole run")
    promote: Level = Field(0.05, description="P(promote | a blocking stratum is at or beyond its margin)")


class StratumRule(Written):
    """What each stratum may lose."""

    max_drop: Fraction = 0.10
    optional: tuple[str, ...] = Field((), description="strata that may lack cases")


class CriticalRule(Written):
    """Strata that may lose less."""

    strata: tuple[str, ...] = ()
    max_drop: Fraction = 0.05
    alpha_share: Fraction | None = Field(
        None, description="share of alpha.rollback kept for these strata; null treats every signal alike"
    )


class MetricRule(Written):
    """How one metric takes part."""

    tier: Tier = Tier.BLOCKING
    scale: Scale | None = Field(None, description="kind of a recorded score; decides its test")
    min_score: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = Field(
        None, description="absolute floor of the candidate's mean"
    )


class QualityRule(Written):
    """Margins on scores."""

    max_drop: Fraction = Field(0.03, description="pooled over all strata")
    stratum: StratumRule = StratumRule()
    critical: CriticalRule = CriticalRule()
    metrics: dict[str, MetricRule] = Field(
        {}, description="by default `pass` blocks, or every recorded score; others are shown"
    )

    def margin(self, stratum: str | None) -> float:
        """The tolerated drop in one stratum, or pooled when None."""
        if stratum is None:
            return self.max_drop
        critical = stratum in self.critical.strata
        return self.critical.max_drop if critical else self.stratum.max_drop


class ErrorRule(Written):
    """How much more often the candidate may fail."""

    max_increase: Fraction = 0.03
    tier: Tier = Tier.BLOCKING


class ErrorRules(Written):
    """One rule an error kind; `server` takes throttling in."""

    server: ErrorRule = ErrorRule()
    truncated: ErrorRule = ErrorRule()
    refusal: ErrorRule = ErrorRule()
    malformed: ErrorRule = ErrorRule()
    content_filter: ErrorRule = ErrorRule()
    context_length: ErrorRule = ErrorRule()
    first_try: ErrorRule = Field(ErrorRule(), description="failed at first as `server` does, whatever became of it")


class CostRule(Written):
    """How much more the candidate may cost."""

    max_ratio: Ratio = 1.10
    tier: Tier = Tier.BLOCKING


class ShownCost(CostRule):
    """The same, shown only."""

    tier: Tier = Tier.ADVISORY


class CostRules(Written):
    """Cost is gated by the request and shown by the session and by the token."""

    per_request: CostRule = CostRule()
    per_session: ShownCost = ShownCost()
    per_token: ShownCost = ShownCost()


class TrafficErrorRule(ErrorRule):
    """How much more often the candidate may fail users; 539 requests an arm without any error show it."""

    max_increase: Fraction = 0.005


class TrafficErrorRules(Written):
    """One rule an error kind, as in `errors`."""

    server: TrafficErrorRule = TrafficErrorRule()
    truncated: TrafficErrorRule = TrafficErrorRule()
    refusal: TrafficErrorRule = TrafficErrorRule()
    malformed: TrafficErrorRule = TrafficErrorRule()
    content_filter: TrafficErrorRule = TrafficErrorRule()
    context_length: TrafficErrorRule = TrafficErrorRule()


class TrafficRules(Written):
    """What differs where users are served: smaller margins, as there are more requests."""

    errors: TrafficErrorRules = TrafficErrorRules()


class HitRateRule(Written):
    """How much less of the prompts may come from the prefix cache."""

    max_drop: Fraction = 0.10
    tier: Tier = Tier.BLOCKING


class CacheRules(Written):
    """What the server need not compute again."""

    hit_rate: HitRateRule = HitRateRule()


class GoodputRule(Written):
    """Requests that keep every objective; at least one is given."""

    ttft_s: Seconds | None = Field(None, description="time to first token")
    tpot_s: Seconds | None = Field(None, description="mean time between tokens")
    e2el_s: Seconds | None = Field(None, description="whole answer")
    max_drop: Fraction = Field(0.02, description="of the share of requests that keep them all")
    tier: Tier = Tier.BLOCKING

    def objectives(self) -> dict[str, float]:
        """Seconds by the objective's name."""
        given = {"ttft_s": self.ttft_s, "tpot_s": self.tpot_s, "e2el_s": self.e2el_s}
        return {name: seconds for name, seconds in given.items() if seconds is not None}

    @model_validator(mode="after")
    def _has_one(self) -> GoodputRule:
        if not self.objectives():
            raise ValueError("'goodput' must give at least one of 'ttft_s', 'tpot_s', 'e2el_s'")
        return self


class SaturationRule(Written):
    """How full the candidate's servers may be, as a share; the 95th percentile of a run's samples."""

    warning: Fraction = 0.70
    critical: Fraction = 0.90
    tier: Tier = Tier.BLOCKING

    @model_validator(mode="after")
    def _is_ordered(self) -> SaturationRule:
        if self.warning >= self.critical:
            raise ValueError(f"'warning' must be below 'critical' (got {self.warning:g} and {self.critical:g})")
        return self


class KvCacheRule(SaturationRule):
    """How much of the cache for keys and values may be in use."""

    warning: Fraction = 0.80


class SaturationRules(Written):
    """What a server runs out of first; measured where the run owns its servers."""

    kv_cache: KvCacheRule = KvCacheRule()
    cpu: SaturationRule = SaturationRule()
    memory: SaturationRule = SaturationRule()


class PerplexityRule(Written):
    """How much less expected the candidate's own words may be to it; shown only."""

    max_ratio: Ratio = 1.10


class DriftRules(Written):
    """Whether answers moved; never decides, so there is no tier."""

    perplexity: PerplexityRule = PerplexityRule()


class GuardrailRule(Written):
    """How many more requests a check of content may reject for one class."""

    max_increase: Fraction = 0.02
    tier: Tier = Tier.BLOCKING


class GuardrailRules(Written):
    """Rejections by class, where responses say what a check made of them."""

    default: GuardrailRule = GuardrailRule()
    classes: dict[ClassName, GuardrailRule] = Field(
        {}, description="rules of their own; a class named here is required"
    )
    max_added_s: Seconds = Field(0.02, description="how many more seconds the check may add; shown only")

    def rule(self, name: str) -> GuardrailRule:
        """The rule of one class."""
        return self.classes.get(name, self.default)


class PromotionRule(Written):
    """What a verdict must be to be acted on."""

    max_age_h: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(
        168.0, description="hours since its oldest answer; null: never too old"
    )


class Policy(Written):
    """What a release may cost, in one file for every stage."""

    version: Literal[1] = 1
    alpha: Alpha = Alpha()
    quality: QualityRule = QualityRule()
    latency: LatencyRules = LatencyRules()
    errors: ErrorRules = ErrorRules()
    cost: CostRules = CostRules()
    cache: CacheRules = CacheRules()
    goodput: GoodputRule | None = Field(None, description="null: no objectives for whole requests")
    saturation: SaturationRules = SaturationRules()
    guardrail: GuardrailRules = GuardrailRules()
    drift: DriftRules = DriftRules()
    traffic: TrafficRules = Field(TrafficRules(), description="in place of `errors` for two streams of routed traffic")
    promotion: PromotionRule = PromotionRule()
    composites: dict[str, Expression] = Field({"rollback": Any_(any=("*",))})
    false_alarm_rates: dict[str, Fraction] = Field(
        {}, description="measured P(fail | nothing changed) of a signal; lets it stand under `all`"
    )
    runbooks: dict[str, str] = Field({}, description="signal name or glob: what to do when it fails")

    def required(self, *, levels: bool = False) -> tuple[str, ...]:
        """What the file asks for by name, shown or blocking: lacking it is missing evidence.

        Latency and cost that nobody wrote about are tested where measured;
        `levels` takes those of the servers in, which only a run of its own has.
        """
        named = []
        if "latency" in self.model_fields_set:
            kinds = (kind for kind in LatencyRules.model_fields if kind in self.latency.model_fields_set)
            named += [f"latency/{kind}" for kind in kinds]
        if "cost" in self.model_fields_set:
            named.append("cost/per_request")
            named += [f"cost/{kind}" for kind in ("per_session", "per_token") if kind in self.cost.model_fields_set]
        if "cache" in self.model_fields_set:
            named.append("cache/hit_rate")
        if levels and "saturation" in self.model_fields_set:
            kinds = (kind for kind in SaturationRules.model_fields if kind in self.saturation.model_fields_set)
            named += [f"saturation/{kind}" for kind in kinds]
        return (*named, *(f"guardrail/{name}" for name in self.guardrail.classes))

    @model_validator(mode="after")
    def _strata_are_clear(self) -> Policy:
        critical = self.quality.critical.strata
        both = sorted(set(critical) & set(self.quality.stratum.optional))
        if both:
            raise ValueError(
                f"'quality.critical.strata' and 'quality.stratum.optional' both name {both[0]!r}: choose one"
            )
        if POOLED in critical:
            raise ValueError("'quality.critical.strata' must name strata; 'all' is the pool, see 'quality.max_drop'")
        return self

    @model_validator(mode="after")
    def _composites_are_safe(self) -> Policy:
        if "rollback" not in self.composites:
            raise ValueError("'composites' must define 'rollback'")
        for name, expression in self.composites.items():
            unmeasured = [s for s in conjoined_signals(expression) if s not in self.false_alarm_rates]
            if unmeasured:
                raise ValueError(
                    f"'composites.{name}' puts {unmeasured[0]!r} under 'all' or 'not', which can hide a failing "
                    f"signal: record its measured rate under 'false_alarm_rates: {{{unmeasured[0]}: 0.01}}'"
                )
        return self
