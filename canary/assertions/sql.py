"""`is-sql` and `contains-sql`, read by sqlglot.

A statement that the dialect's grammar does not know is no SQL. What is longer
than MOST characters is not read: an abstention.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, ClassVar

from pydantic import Field, field_validator

from canary.assertions.excerpt import excerpt, shorten
from canary.assertions.library import library, require
from canary.assertions.lift import Lifted, Metric, yes_or_no
from canary.assertions.pattern import compiled, search
from canary.protocols import Grade
from canary.records import Prompt, Response, Scale
from canary.written import Written

MOST = 100_000
_FENCED = re.compile(r"```(?:sql)?[ \t]*\n(.*?)```", re.IGNORECASE | re.DOTALL)
DIALECTS = {
    "athena": "athena",
    "bigquery": "bigquery",
    "hive": "hive",
    "mariadb": "mysql",
    "mysql": "mysql",
    "postgresql": "postgres",
    "redshift": "redshift",
    "snowflake": "snowflake",
    "sqlite": "sqlite",
    "transactsql": "tsql",
}
"""promptfoo's names, in lower case, and sqlglot's."""

STATEMENTS = (
    *("Query", "DML", "Create", "Drop", "Alter", "Show", "Describe", "Set", "Use"),
    *("Transaction", "Commit", "Rollback", "TruncateTable", "Grant", "Merge"),
)
"""What sqlglot calls a statement; anything else, a bare word say, is none."""


class Database(Written):
    """Which SQL, and what it may touch."""

    database_type: str = Field("MySQL", alias="databaseType")
    allowed_tables: tuple[str, ...] | None = Field(None, alias="allowedTables")
    allowed_columns: tuple[str, ...] | None = Field(None, alias="allowedColumns")

    @field_validator("database_type")
    @classmethod
    def _known(cls, name: str) -> str:
        if name.lower() not in DIALECTS:
            raise ValueError(f"must be one of {', '.join(sorted(DIALECTS))}")
        return name

    @field_validator("allowed_tables", "allowed_columns")
    @classmethod
    def _patterns(cls, patterns: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for pattern in patterns or ():
            compiled(pattern)
        return patterns


class IsSql(Lifted):
    """Passes iff the whole output is SQL that touches what is allowed only."""

    scale: ClassVar[Scale] = Scale.PASS_FAIL
    metric: Metric = "is-sql"
    value: Database = Field(default_factory=Database)

    def model_post_init(self, context: Any, /) -> None:  # noqa: ARG002 - pydantic's signature
        """Look for the library before any response is paid for."""
        require("sqlglot", "is-sql")

    def grade(self, prompt: Prompt, response: Response) -> Grade:  # noqa: ARG002 - the answer alone
        """Parse it, then look at every table and column."""
        problem = sql_problem(response.output, self.value)
        return yes_or_no(f"{problem or 'is SQL'} (got {excerpt(response.output)})", passed=problem is None)


class ContainsSql(IsSql):
    """Passes iff the whole output, or a fenced block in it, is such SQL."""

    metric: Metric = "contains-sql"

    def grade(self, prompt: Prompt, response: Response) -> Grade:  # noqa: ARG002 - the answer alone
        """The blocks first, then the whole."""
        problem: str | None = "holds no SQL"
        for text in (*_FENCED.findall(response.output[:MOST]), response.output):
            problem = sql_problem(text, self.value)
            if problem is None:
                return yes_or_no(f"contains SQL: {excerpt(text)}", passed=True)
        return yes_or_no(f"{problem} (got {excerpt(response.output)})", passed=False)


def sql_problem(text: str, database: Database) -> str | None:
    """Why the text is no SQL that is allowed; ValueError where it is too long to be read."""
    if len(text) > MOST:
        raise ValueError(f"has {len(text)} characters: SQL beyond {MOST} is not read")
    sqlglot = library("sqlglot")
    try:
        statements = sqlglot.parse(text, read=DIALECTS[database.database_type.lower()])
    except sqlglot.errors.SqlglotError as error:
        return f"is not SQL: {shorten(str(error).splitlines()[0], 160)}"
    except RecursionError:
        return "is not SQL anyone should read: nested too deeply"
    found = [statement for statement in statements if statement is not None]
    if not found:
        return "is not SQL: there is no statement"
    return next((problem for statement in found if (problem := _refused(statement, database))), None)


def _refused(statement: Any, database: Database) -> str | None:
    kinds = tuple(getattr(library("sqlglot").exp, name) for name in STATEMENTS)
    if not isinstance(statement, kinds) or (statement.key == "select" and not statement.expressions):
        return f"is not SQL: {statement.key} is no complete statement"
    for said, allowed in (("tables", database.allowed_tables), ("columns", database.allowed_columns)):
        used = _tables(statement) if said == "tables" else _columns(statement)
        outside = [] if allowed is None else [name for name in used if not _is_allowed(name, allowed)]
        if outside:
            return f"uses {said} that are not allowed: {excerpt(outside)}"
    return None


def _is_allowed(name: str, allowed: tuple[str, ...]) -> bool:
    return any(search(rf"(?i)\A(?:{pattern})\Z", name) is not None for pattern in allowed)


def _tables(statement: Any) -> Iterator[str]:
    """`type::database::table`, null where none is named."""
    exp = library("sqlglot").exp
    local = {cte.alias for cte in statement.find_all(exp.CTE)}
    target = statement.this.find(exp.Table) if statement.key != "select" and hasattr(statement.this, "find") else None
    for table in statement.find_all(exp.Table):
        if table.name not in local:
            yield f"{statement.key if table is target else 'select'}::{table.db or 'null'}::{table.name}"


def _columns(statement: Any) -> Iterator[str]:
    """`type::table::column`, null where the column is not qualified; all of them are `(.*)`."""
    exp = library("sqlglot").exp
    for column in statement.find_all(exp.Column):
        is_set = statement.key == "update" and isinstance(column.parent, exp.EQ) and column.parent.parent is statement
        yield f"{'update' if is_set else 'select'}::{column.table or 'null'}::{column.name}"
    everything = statement.key in {"delete", "insert"} and not statement.find(exp.Schema)
    if everything or next(statement.find_all(exp.Star), None) is not None:
        yield f"{statement.key}::null::(.*)"
    for schema in statement.find_all(exp.Schema) if statement.key == "insert" else ():
        yield from (f"insert::{schema.this.name}::{column.name}" for column in schema.expressions)
