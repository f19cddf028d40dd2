"""One assertion of promptfoo as one of ours, or why not."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from canary import located
from canary.assertions import parse
from canary.assertions.spec import asks_judge
from canary.errors import UsageError

Place = tuple[str | int, ...]
Note = Callable[[Place, str], None]

_LISTS = ("contains-any", "contains-all", "icontains-any", "icontains-all")
_TRANSFORMS = {
    "output.trim()": "{{ output | trim }}",
    "output.toLowerCase()": "{{ output | lower }}",
    "output.toUpperCase()": "{{ output | upper }}",
}
_SAME = {"similar:cosine": "similar", "similar:dot": "similar", "model-graded-closedqa": "closed-qa"}
"""Our names; vectors here have length 1, so that their dot product is the cosine."""
_FIELD = re.compile(r"JSON\.parse\(output\)((?:\.[A-Za-z_]\w*)+)")


class Reader:
    """Reads assertions; what it cannot read it notes."""

    def __init__(self, folder: Path, note: Note) -> None:
        self._folder, self._note = folder, note
        self.asks_judge = False
        """Whether anything read so far does."""

    def read(self, specs: Any, place: Place) -> Iterator[dict[str, Any]]:
        """Those that mean the same here."""
        for index, spec in enumerate(specs if isinstance(specs, list) else []):
            where = (*place, index)
            try:
                found = self._spec(spec, where)
                self._admit(found, where)
            except UsageError as error:
                self._note(
                    where, f"{_kind(spec)}: {error.problems[0].partition(' (valid:')[0].replace('test.assert[0].', '')}"
                )
            except (ValueError, OSError, RecursionError) as error:
                self._note(where, f"{_kind(spec)}: {error}")
            else:
                yield found

    def alone(self, spec: dict[str, Any], place: Place) -> dict[str, Any]:
        """Outside of a set only weight 0 means anything."""
        if spec.get("weight", 1) in (0, 1):
            return spec
        self._note(place, f"{spec['type']}: 'weight: {spec['weight']}', which decides nothing outside of a set")
        return {key: value for key, value in spec.items() if key != "weight"}

    def _read(self, value: Any) -> Any:
        """What a `file://` holds; anything else as it is."""
        if not isinstance(value, str) or not value.startswith("file://"):
            return value
        return _content(self._folder / value.removeprefix("file://"))

    def _admit(self, spec: dict[str, Any], place: Place) -> None:
        """Raise UsageError where it does not load, as a member of a set if need be."""
        if is_judged(spec):
            if place.count("assert") > 1:
                raise ValueError("a judge answers for itself, outside of a set")
            if "threshold" in spec and spec["type"].removeprefix("not-") != "g-eval":
                self._note(place, f"{spec['type']}: 'threshold' is left out: there it is of a score, here of votes")
                del spec["threshold"]
            self.asks_judge = True

    def _spec(self, spec: Any, place: Place) -> dict[str, Any]:
        if not isinstance(spec, Mapping) or not isinstance(spec.get("type"), str):
            raise ValueError("no mapping with a type")  # noqa: TRY004 - noted like any other
        found = dict(spec)
        negation, kind = _parted(found["type"])
        found["type"] = f"{negation}{kind}"
        if kind == "python":
            raise ValueError("functions are called with other arguments here: (output, case)")
        if isinstance(found.get("assert"), list):
            found["assert"] = list(self.read(found["assert"], (*place, "assert")))
        for key in sorted(found.keys() & {"provider", "rubricPrompt"}):
            self._note(place, f"{kind}: {_IGNORED[key]}")
            del found[key]
        if "value" in found:
            found["value"] = self._value(kind, found["value"])
        if "transform" in found:
            found["transform"] = _transform(found["transform"])
        if "metric" in found:
            found["metric"] = re.sub(r"[^A-Za-z0-9_.-]+", "-", str(found["metric"]))
        return found

    def _value(self, kind: str, value: Any) -> Any:
        if isinstance(value, list):
            return [self._read(each) for each in value]
        value = self._read(value)
        if kind in _LISTS and isinstance(value, str) and "{{" not in value:
            return [part.strip() for part in value.split(",")]
        return value


_IGNORED = {
    "provider": "'provider' is left out: a suite has one judge, and one embedder",
    "rubricPrompt": "'rubricPrompt' is left out: the words that a judge reads are ours",
}


def _parted(kind: str) -> tuple[str, str]:
    """`not-` or nothing, and our name of the rest."""
    rest = kind.removeprefix("not-")
    return kind.removesuffix(rest), _SAME.get(rest, rest)


def is_judged(spec: Mapping[str, Any]) -> bool:
    """Whether a judge decides an assertion that was read."""
    return asks_judge(parse(spec, where="test.assert[0]"))


def _content(path: Path) -> Any:
    """What a file holds; ValueError where it is no document, or one that grows without end."""
    if not path.is_file():
        raise ValueError(f"{path} is no file")
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        return json.loads(text)
    if path.suffix not in {".yaml", ".yml"}:
        return text.strip()
    found = located.parse(text)
    if found.flaws:
        raise ValueError(f"{path} {found.flaws[0].text}")
    return found.value


def _kind(spec: Any) -> str:
    return str(spec.get("type", "no type")) if isinstance(spec, Mapping) else "no assertion"


def _transform(written: Any) -> str:
    """The few expressions that have a counterpart."""
    known = _TRANSFORMS.get(str(written).strip())
    field = _FIELD.fullmatch(str(written).strip())
    if known is None and field is None:
        raise ValueError(f"'transform' is JavaScript that is not understood: {str(written)[:80]!r}")
    return known or f"{{{{ (output | fromjson){field[1] if field else ''} }}}}"
