"""The many numbers of one answer, such as the gaps between its tokens."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, TypeVar, overload

from pydantic import AfterValidator


class Series(Sequence[float]):
    """Numbers as eight bytes each, where a tuple takes forty; equal to the tuple of the same numbers."""

    __slots__ = ("_numbers",)

    def __init__(self, numbers: Iterable[float] = ()) -> None:
        self._numbers = array("d", numbers)

    @overload
    def __getitem__(self, at: int) -> float: ...
    @overload
    def __getitem__(self, at: slice) -> Series: ...
    def __getitem__(self, at: int | slice) -> float | Series:
        found = self._numbers[at]
        return Series(found) if isinstance(found, array) else found

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[float]:
        return iter(self._numbers)

    def __eq__(self, other: object) -> bool:
        return tuple(self) == (tuple(other) if isinstance(other, Series) else other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))


Number = TypeVar("Number", bound=float)
Packed = Annotated[Sequence[Number], AfterValidator(Series)]
"""What is read from a file is packed; what is made here may be a tuple."""
