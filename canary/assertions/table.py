"""Every assertion that ships, by the name users write under `type`.

`not-` before any of them negates it.
"""

from __future__ import annotations

from canary.assertions.best import SelectBest
from canary.assertions.count import TokenCount, WordCount
from canary.assertions.document import ContainsJson, ContainsXml, IsXml
from canary.assertions.function import Function
from canary.assertions.guardrails import Guardrails
from canary.assertions.ifeval import IFEVAL
from canary.assertions.is_json import IsJson
from canary.assertions.judged import ClosedQa, Factuality, GEval, LlmRubric
from canary.assertions.markup import ContainsHtml, IsHtml
from canary.assertions.measured import Cost, FinishReason, Latency, Perplexity, PerplexityScore
from canary.assertions.ngram import Bleu, Gleu, Levenshtein, Meteor, RougeN
from canary.assertions.overlap import F1
from canary.assertions.pattern import Regex
from canary.assertions.refusal import IsRefusal
from canary.assertions.screen import ContainsEntity, ContainsPii, ForbiddenPhrases
from canary.assertions.similar import Similar
from canary.assertions.sql import ContainsSql, IsSql
from canary.assertions.text import (
    Contains,
    ContainsAll,
    ContainsAny,
    Equals,
    IContains,
    IContainsAll,
    IContainsAny,
    StartsWith,
)
from canary.assertions.tool import (
    ToolArgsMatch,
    ToolCallF1,
    ToolSequence,
    ToolUsed,
    ValidFunctionCall,
    ValidToolsCall,
)

ASSERTIONS: dict[str, type] = {
    "equals": Equals,
    "contains": Contains,
    "contains-any": ContainsAny,
    "contains-all": ContainsAll,
    "icontains": IContains,
    "icontains-any": IContainsAny,
    "icontains-all": IContainsAll,
    "starts-with": StartsWith,
    "regex": Regex,
    "is-json": IsJson,
    "contains-json": ContainsJson,
    "is-xml": IsXml,
    "contains-xml": ContainsXml,
    "is-html": IsHtml,
    "contains-html": ContainsHtml,
    "is-sql": IsSql,
    "contains-sql": ContainsSql,
    "is-valid-openai-tools-call": ValidToolsCall,
    "is-valid-function-call": ValidFunctionCall,
    "is-valid-openai-function-call": ValidFunctionCall,
    "tool-call-f1": ToolCallF1,
    "trajectory:tool-used": ToolUsed,
    "trajectory:tool-args-match": ToolArgsMatch,
    "trajectory:tool-sequence": ToolSequence,
    "contains-entity": ContainsEntity,
    "forbidden-phrases": ForbiddenPhrases,
    "contains-pii": ContainsPii,
    "word-count": WordCount,
    "token-count": TokenCount,
    "is-refusal": IsRefusal,
    "guardrails": Guardrails,
    "finish-reason": FinishReason,
    "latency": Latency,
    "cost": Cost,
    "perplexity": Perplexity,
    "perplexity-score": PerplexityScore,
    "f1": F1,
    "levenshtein": Levenshtein,
    "rouge-n": RougeN,
    "bleu": Bleu,
    "gleu": Gleu,
    "meteor": Meteor,
    "similar": Similar,
    "llm-rubric": LlmRubric,
    "closed-qa": ClosedQa,
    "factuality": Factuality,
    "g-eval": GEval,
    "select-best": SelectBest,
    "python": Function,
    **IFEVAL,
}
