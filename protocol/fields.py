"""Reading a document's fields: every type checked, every length and range bounded, unknown names ignored.

A reader knows where it is, so that a refusal names the field: ``bad_field: items[3].start: expected an integer``.
Instants are integers, microseconds since 1970-01-01T00:00:00Z; durations are integers, microseconds; unsigned
64-bit numbers are 16 lowercase hexadecimal digits (JSON cannot carry them exactly).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from enum import Enum
from typing import Any, Final, NoReturn, TypeVar

from protocol.errors import MalformedError
from protocol.limits import MAX_ID, MAX_INT
from schedules.instants import from_unix_us

T = TypeVar("T")
E = TypeVar("E", bound=Enum)

#: 1970-01-01 to 2200-01-01: no instant outside can be meant.
LATEST_US: Final = int(datetime(2200, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000

ID_PATTERN: Final = rf"^[A-Za-z0-9][A-Za-z0-9_.:/-]{{0,{MAX_ID - 1}}}$"
#: Text for people: no control characters but newline and tab.
TEXT_PATTERN: Final = "^[^\\x00-\\x08\\x0b-\\x1f\\x7f]*$"
_ID = re.compile(ID_PATTERN.replace("$", r"\Z"))
_TEXT = re.compile(TEXT_PATTERN.replace("$", r"\Z"))
_HEX = re.compile(r"[0-9a-f]*\Z")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}\Z", re.ASCII)
_TIME = re.compile(r"\d{2}:\d{2}:\d{2}\Z", re.ASCII)


class Fields:
    """One JSON object being read."""

    __slots__ = ("_value", "_where")

    def __init__(self, value: Any, where: str = "") -> None:
        if not isinstance(value, dict):
            raise MalformedError("bad_field", f"{where or 'body'}: expected an object")
        self._value = value
        self._where = where

    def refuse(self, name: str, why: str) -> NoReturn:
        """Refuse a field by name."""
        raise MalformedError("bad_field", f"{self._where}{name}: {why}")

    def has(self, name: str) -> bool:
        """Whether the field is there and not null."""
        return self._value.get(name) is not None

    def optional(self, name: str, read: Callable[[str], T]) -> T | None:
        """The field read by ``read``, or None when it is absent or null."""
        return read(name) if self.has(name) else None

    def text(self, name: str, longest: int, shortest: int = 1) -> str:
        """Text for people."""
        value = self._value.get(name)
        if not isinstance(value, str) or not shortest <= len(value) <= longest or not _TEXT.match(value):
            self.refuse(name, f"expected printable text of {shortest} to {longest} characters")
        return value

    def identifier(self, name: str) -> str:
        """An id: letters, digits and ``_.:/-``, at most 64."""
        value = self._value.get(name)
        if not isinstance(value, str) or not _ID.match(value):
            self.refuse(name, "expected an id")
        return value

    def hexadecimal(self, name: str, digits: int) -> str:
        """Exactly so many lowercase hexadecimal digits."""
        value = self._value.get(name)
        if not isinstance(value, str) or len(value) != digits or not _HEX.match(value):
            self.refuse(name, f"expected {digits} lowercase hexadecimal digits")
        return value

    def integer(self, name: str, lowest: int = 0, highest: int = MAX_INT) -> int:
        """An integer within bounds; true and 1.0 are not integers."""
        value = self._value.get(name)
        if type(value) is not int or not lowest <= value <= highest:
            self.refuse(name, f"expected an integer from {lowest} to {highest}")
        return value

    def number(self, name: str, lowest: float, highest: float) -> float:
        """A finite number within bounds."""
        value = self._value.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            self.refuse(name, "expected a finite number")
        if not lowest <= value <= highest:
            self.refuse(name, f"expected a number from {lowest} to {highest}")
        return float(value)

    def flag(self, name: str) -> bool:
        """True or false; absent is false."""
        value = self._value.get(name, False)
        if not isinstance(value, bool):
            self.refuse(name, "expected true or false")
        return value

    def unsigned64(self, name: str) -> int:
        """16 hexadecimal digits as a number."""
        return int(self.hexadecimal(name, 16), 16)

    def instant(self, name: str) -> datetime:
        """Wall time."""
        return from_unix_us(self.integer(name, 0, LATEST_US))

    def duration(self, name: str, longest: timedelta, shortest: timedelta = timedelta(0)) -> timedelta:
        """A duration within bounds."""
        microsecond = timedelta(microseconds=1)
        return timedelta(microseconds=self.integer(name, shortest // microsecond, longest // microsecond))

    def day(self, name: str) -> date:
        """A calendar date, ``YYYY-MM-DD``."""
        value = self._value.get(name)
        if isinstance(value, str) and _DATE.match(value):
            try:
                return date.fromisoformat(value)
            except ValueError:
                pass
        return self.refuse(name, "expected a date as YYYY-MM-DD")

    def clock_time(self, name: str) -> time:
        """A local time of day, ``HH:MM:SS``."""
        value = self._value.get(name)
        if isinstance(value, str) and _TIME.match(value):
            try:
                return time.fromisoformat(value)
            except ValueError:
                pass
        return self.refuse(name, "expected a time as HH:MM:SS")

    def choice(self, name: str, kind: type[E]) -> E:
        """A member of an enumeration, by value."""
        value = self._value.get(name)
        if type(value) in (str, int):
            try:
                return kind(value)
            except ValueError:
                pass
        return self.refuse(name, "not one of the values allowed")

    def object(self, name: str) -> Fields:
        """A nested object."""
        return Fields(self._value.get(name), f"{self._where}{name}.")

    def objects(self, name: str, most: int) -> list[Fields]:
        """A list of objects; absent is empty."""
        return [Fields(each, f"{self._where}{name}[{i}].") for i, each in enumerate(self._list(name, most))]

    def identifiers(self, name: str, most: int) -> tuple[str, ...]:
        """A list of ids without repetition; absent is empty."""
        values = self._list(name, most)
        if not all(isinstance(each, str) and _ID.match(each) for each in values) or len(set(values)) != len(values):
            self.refuse(name, "expected ids, each once")
        return tuple(values)

    def pairs(self, name: str, most: int) -> list[tuple[Any, Any]]:
        """A list of pairs, their insides unchecked; absent is empty."""
        values = self._list(name, most)
        if not all(isinstance(each, list) and len(each) == 2 for each in values):  # noqa: PLR2004 - a pair is two
            self.refuse(name, "expected pairs")
        return [(each[0], each[1]) for each in values]

    def _list(self, name: str, most: int) -> list[Any]:
        value = self._value.get(name, [])
        if not isinstance(value, list) or len(value) > most:
            self.refuse(name, f"expected a list of at most {most}")
        return value


def unsigned64_text(value: int) -> str:
    """A number as the wire writes it: 16 hexadecimal digits."""
    return f"{value:016x}"
