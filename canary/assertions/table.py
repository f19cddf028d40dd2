"""Every assertion that ships, by the name users write under `type`.

`not-` before any of them negates it.
"""

from __future__ import annotations

from canary.assertions.best import SelectBest
from canary.assertions.count import TokenCount, WordCount
from canary.assertions.function import Function
from canary.assertions.is_json import IsJson
from canary.assertions.judged import ClosedQa, Factuality, GEval, LlmRubric
from canary.assertions.overlap import F1
from canary.assertions.pattern import Regex
from canary.assertions.refusal import IsRefusal
from canary.assertions.similar import Similar
from canary.assertions.text import Contains, ContainsAll, ContainsAny, Equals, IContains, StartsWith

ASSERTIONS: dict[str, type] = {
    "equals": Equals,
    "contains": Contains,
    "contains-any": ContainsAny,
    "contains-all": ContainsAll,
    "icontains": IContains,
    "starts-with": StartsWith,
    "regex": Regex,
    "is-json": IsJson,
    "word-count": WordCount,
    "token-count": TokenCount,
    "is-refusal": IsRefusal,
    "f1": F1,
    "similar": Similar,
    "llm-rubric": LlmRubric,
    "closed-qa": ClosedQa,
    "factuality": Factuality,
    "g-eval": GEval,
    "select-best": SelectBest,
    "python": Function,
}
