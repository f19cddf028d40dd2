"""Composites as a policy file writes them: signals joined by any, all and not."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag

from canary.written import Written


class Any_(Written):  # noqa: N801 - the word of the policy file
    """True harm in any member."""

    any: tuple[Expression, ...] = Field(min_length=1)


class All_(Written):  # noqa: N801 - the word of the policy file
    """True harm in every member."""

    all: tuple[Expression, ...] = Field(min_length=1)


class Not_(Written):  # noqa: N801 - the word of the policy file
    """The member does not fail."""

    not_: Expression = Field(alias="not")


def _operator(expression: Any) -> str | None:
    """Which kind of expression this is, so that a mistake is blamed on that kind alone."""
    if isinstance(expression, Mapping):
        return next((word for word in ("any", "all", "not") if word in expression), None)
    kinds: tuple[tuple[type, str], ...] = ((str, "name"), (Any_, "any"), (All_, "all"), (Not_, "not"))
    return next((word for kind, word in kinds if isinstance(expression, kind)), None)


Expression = Annotated[
    Annotated[str, Tag("name")]
    | Annotated[Any_, Tag("any")]
    | Annotated[All_, Tag("all")]
    | Annotated[Not_, Tag("not")],
    Discriminator(
        _operator,
        custom_error_type="expression",
        custom_error_message="must be the name of a signal, or 'any', 'all' or 'not' with their members",
    ),
]


def named_signals(expression: Expression) -> tuple[str, ...]:
    """Every signal name or glob an expression mentions, in order."""
    if isinstance(expression, str):
        return (expression,)
    if isinstance(expression, Not_):
        return named_signals(expression.not_)
    members = expression.any if isinstance(expression, Any_) else expression.all
    return tuple(name for member in members for name in named_signals(member))


def conjoined_signals(expression: Expression) -> tuple[str, ...]:
    """Every signal name or glob that stands under an `all` or a `not`."""
    if isinstance(expression, str):
        return ()
    if isinstance(expression, Any_):
        return tuple(name for member in expression.any for name in conjoined_signals(member))
    return named_signals(expression)


def suffices(expression: Expression, name: str) -> bool:
    """Whether harm in this one signal makes the expression true, whatever the others say."""
    match expression:
        case str():
            return fnmatchcase(name, expression)
        case Any_():
            return any(suffices(member, name) for member in expression.any)
        case All_():
            return all(suffices(member, name) for member in expression.all)
        case Not_():
            return False


def dump_expression(expression: Expression) -> Any:
    """The expression as it stands in a policy file."""
    return expression if isinstance(expression, str) else expression.model_dump(mode="json", by_alias=True)


for _model in (Any_, All_, Not_):
    _model.model_rebuild()
