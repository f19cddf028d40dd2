"""Server-sent events: bytes as they arrive in, the data of whole events out.

Written here rather than taken from a package: the decoders at hand split lines
as `str.splitlines` does, which cuts an answer at U+2028.
"""

from __future__ import annotations

import re

_LINE_END = re.compile(rb"\r\n|\r|\n")
_BOM = b"\xef\xbb\xbf"


class Events:
    """A decoder of text/event-stream; where the bytes were cut changes nothing.

    Comments, `event`, `id` and `retry` are read over. Bytes that are not UTF-8
    become U+FFFD, as the standard has it.
    """

    def __init__(self) -> None:
        self._line: list[bytes] = []
        """The pieces of the line that has begun."""
        self._data: list[str] = []
        self._begun = False
        self._after_cr = False

    def feed(self, chunk: bytes) -> list[str]:
        """The data of every event these bytes complete."""
        if self._after_cr and chunk:
            chunk = chunk.removeprefix(b"\n")
            self._after_cr = False
        self._after_cr = self._after_cr or chunk.endswith(b"\r")
        *lines, rest = _LINE_END.split(chunk) if b"\r" in chunk else chunk.split(b"\n")
        events = []
        for line in lines:
            events += self._end_line(line)
        if rest:
            self._line.append(rest)
        return events

    def close(self) -> list[str]:
        """The event that the end of the stream completes, if one had begun."""
        return self._end_line(b"") + self._end_line(b"")

    def _end_line(self, tail: bytes) -> list[str]:
        line = tail
        if self._line:
            line = b"".join((*self._line, tail))
            self._line.clear()
        if not self._begun:
            self._begun = True
            line = line.removeprefix(_BOM)
        if line:
            name, _, value = line.partition(b":")
            if name == b"data":
                self._data.append(value.removeprefix(b" ").decode(errors="replace"))
            return []
        event = "\n".join(self._data)
        self._data.clear()
        return [event] if event else []
