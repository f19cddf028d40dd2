"""The decoder of server-sent events."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.engines.http.sse import Events

ALPHABET = [b"data", b":", b" ", b"\n", b"\r", b"\r\n", b"\n\n", b"x", b"[DONE]", b"event: e", b"\xef\xbb\xbf"]
ALPHABET += ["ü🐤\u2028".encode(), b"\xff", b"\xf0\x9f", b""]


def decode(*pieces: bytes) -> list[str]:
    """The events of these pieces, and of the end."""
    events = Events()
    return [event for piece in pieces for event in events.feed(piece)] + events.close()


@given(st.lists(st.sampled_from(ALPHABET)).map(b"".join), st.data())
def test_cuts_change_nothing(raw: bytes, data: st.DataObject) -> None:
    """However the bytes are cut into pieces, the events are the same."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)))))
    pieces = [raw[start:end] for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)]

    assert decode(*pieces) == decode(raw)


@given(st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), min_size=1)))
def test_what_is_sent_is_read(texts: list[str]) -> None:
    """Every text comes out as it went in, whatever its characters."""
    raw = "".join(f"data: {text}\n\n" for text in texts).encode()

    assert decode(raw) == texts


@pytest.mark.parametrize(
    ("raw", "events"),
    [
        (b"data: a\n\ndata: b\r\n\r\ndata: c\r\rdata: d", ["a", "b", "c", "d"]),
        (b"data:a\n\n", ["a"]),
        (b"data:  a \n\n", [" a "]),
        (b"data: a\ndata: b\n\n", ["a\nb"]),
        (b": comment\n\nevent: x\nid: 1\nretry: 5\n\n", []),
        (b"data\n\ndata:\n\n", []),
        (b"\xef\xbb\xbfdata: a\n\n", ["a"]),
        ("data: \u2028\x85\x0b\n\n".encode(), ["\u2028\x85\x0b"]),
        (b"data: \xff\n\n", ["\ufffd"]),
        (b"database: a\n\n", []),
        (b"\n\n\n", []),
    ],
)
def test_known_streams(raw: bytes, events: list[str]) -> None:
    """What the standard says of line ends, fields, comments and broken UTF-8."""
    assert decode(raw) == events


def test_event_comes_with_its_blank_line() -> None:
    """An event is told as soon as its blank line has arrived, not later."""
    events = Events()

    assert [events.feed(piece) for piece in (b"data: a\r", b"\n\r", b"\n")] == [[], ["a"], []]
