"""YAML with the line of every key, and without the surprises of YAML 1.1.

Only `true` and `false` are booleans, nothing is a date or an octal number, a
key written twice is a flaw, and neither aliases nor nesting can grow a small
file into a large document.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

Path = tuple[str | int, ...]
"""Keys and positions from the top of a document to a value."""

MOST_NODES = 100_000
DEEPEST = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaw:
    """What is wrong on one line."""

    line: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """A YAML document as plain values; None where it is no document at all."""

    value: Any
    lines: dict[Path, int]
    """Line of each key or list item, counted from one."""
    flaws: tuple[Flaw, ...]

    def line(self, path: Path) -> int:
        """The line of a path, or of the nearest thing around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def parse(text: str) -> Located:
    """Read one YAML document; what is wrong with it is in `flaws`."""
    builder = _Builder()
    try:
        node = yaml.compose(text, Loader=_Loader)
        value = None if node is None else builder.build(node, ())
    except yaml.YAMLError as error:
        value, builder.flaws = None, [_syntax(error, text)]
    except (_Oversized, RecursionError) as error:
        reason = str(error) if isinstance(error, _Oversized) else f"is nested deeper than {DEEPEST} levels"
        value, builder.flaws = None, [Flaw(line=1, text=reason)]
    return Located(value=value, lines=builder.lines, flaws=tuple(builder.flaws))


def dotted(path: Path) -> str:
    """The path as a user reads it: `assert[0].value`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def printable(text: str) -> str:
    """The text with everything invisible spelled out, so that it cannot style a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class _Oversized(Exception):  # noqa: N818 - it names what is the matter
    """The document grows without end."""


class _Loader(yaml.SafeLoader):
    """Composes nodes by the rules below alone."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - as PyYAML has it


_TAG = "tag:yaml.org,2002:"
_MERGE = _TAG + "merge"
for _name, _pattern, _first in (
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("int", r"^[-+]?(?:0|[1-9][0-9]{0,29})$", "-+0123456789"),
    ("float", r"^[-+]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?$", "-+.0123456789"),
    ("float", r"^(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$", "-+."),
    ("merge", r"^<<$", "<"),
):
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(_pattern), list(_first))

_SCALARS: dict[str, Callable[[str], Any]] = {
    _TAG + "str": str,
    _MERGE: str,
    _TAG + "null": lambda _: None,
    _TAG + "bool": lambda text: text.lower() == "true",
    _TAG + "int": int,
    _TAG + "float": lambda text: float(text.lower().replace(".inf", "inf").replace(".nan", "nan")),
}


@dataclass(slots=True)
class _Builder:
    """Turns nodes into values, noting lines and flaws on the way."""

    lines: dict[Path, int] = field(default_factory=dict)
    flaws: list[Flaw] = field(default_factory=list)
    left: int = MOST_NODES

    def build(self, node: yaml.Node, path: Path) -> Any:
        """The plain value of a node."""
        self.left -= 1
        if self.left < 0:
            raise _Oversized(f"holds more than {MOST_NODES:,} values, aliases counted each time they are used")
        if len(path) > DEEPEST:
            raise _Oversized(f"is nested deeper than {DEEPEST} levels")
        self.lines.setdefault(path, _line(node))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, i)) for i, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        own: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        inherited: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for key, value in node.value:
            if key.tag == _MERGE:
                for name, pair in self._inherited(value, 0):
                    inherited.setdefault(name, pair)
            elif not isinstance(key, yaml.ScalarNode):
                self._flaw(key, "a key must be text")
            elif key.value in own:
                first = _line(own[key.value][0])
                self._flaw(key, f"'{dotted((*path, key.value))}' is written twice (first on line {first})")
            else:
                own[key.value] = key, value
        built = {}
        for name, (key, value) in (inherited | own).items():
            self.lines.setdefault((*path, name), _line(key))
            built[name] = self.build(value, (*path, name))
        return built

    def _inherited(self, node: yaml.Node, depth: int) -> Iterator[tuple[str, tuple[yaml.Node, yaml.Node]]]:
        """What `<<: *anchor` or `<<: [*a, *b]` brings in; the first wins."""
        if depth > DEEPEST:
            raise _Oversized(f"is nested deeper than {DEEPEST} levels")
        if isinstance(node, yaml.SequenceNode):
            for item in node.value:
                yield from self._inherited(item, depth + 1)
        elif isinstance(node, yaml.MappingNode):
            merged = [value for key, value in node.value if key.tag == _MERGE]
            yield from ((key.value, (key, value)) for key, value in node.value if key.tag != _MERGE)
            for value in merged:
                yield from self._inherited(value, depth + 1)
        else:
            self._flaw(node, "'<<' must name a mapping, or a list of mappings")

    def _scalar(self, node: yaml.Node, path: Path) -> Any:
        convert = _SCALARS.get(node.tag)
        if convert is None:
            self._flaw(node, f"'{dotted(path)}' has a tag that is not supported: {node.tag.replace(_TAG, '!!')}")
            return None
        try:
            node.value.encode()
            return convert(node.value)
        except ValueError:
            self._flaw(node, f"'{dotted(path)}' holds what its tag or its escapes cannot mean")
            return None

    def _flaw(self, node: yaml.Node, text: str) -> None:
        self.flaws.append(Flaw(line=_line(node), text=text))


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _syntax(error: yaml.YAMLError, text: str) -> Flaw:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    position = getattr(error, "position", None)
    if mark is not None:
        return Flaw(line=mark.line + 1, text=f"is not valid YAML: {getattr(error, 'problem', None) or error}")
    line = 1 if position is None else text.count("\n", 0, position) + 1
    return Flaw(line=line, text=f"is not valid YAML: {getattr(error, 'reason', error)}")
