"""Event times: exact parsing of RFC 3339 date-times to microseconds since 1970, UTC."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar

SECOND = 1_000_000
DAY = 86_400 * SECOND
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EPOCH_DAY = date(1970, 1, 1).toordinal()
# Earlier times are the zero of some clock or date type (year 1, 1601), never an event.
FIRST_US = (date(1900, 1, 1).toordinal() - EPOCH_DAY) * DAY
END_US = (date.max.toordinal() - EPOCH_DAY + 1) * DAY
# java.time.ZoneOffset, which Spark reads timestamps with, ends at 18 hours.
MAX_OFFSET_MINUTES = 18 * 60
CACHED_DAYS = 100_000

_K = TypeVar("_K")
_V = TypeVar("_V")

_SHAPE = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?"
    r"(?:Z|([+-])([0-9]{2}):([0-9]{2}))?\Z"
)


class InvalidTimestampError(ValueError):
    """The text is no time that the lake takes; the message says why."""


class TimestampParser:
    """Parses timestamps and remembers the days it has seen."""

    def __init__(self) -> None:
        self._days: dict[str, int] = {}
        self._dates: dict[int, date] = {}

    def microseconds(self, text: str) -> int:
        """Microseconds since 1970-01-01T00:00:00Z; further digits of a fraction are cut off.

        A time without an offset is read as UTC. Refused (InvalidTimestampError): days that do not
        exist, 24:00, leap seconds (`:60` has no place in a count of microseconds), offsets
        beyond 18 hours, and times whose UTC day lies before 1900 or after 9999.
        """
        found = _SHAPE.match(text)
        if found is None:
            raise InvalidTimestampError("not of the form 2025-11-15T08:30:00.000Z")
        day, hour, minute, second, fraction, sign, offset_hour, offset_minute = found.groups()
        if second > "59":
            raise InvalidTimestampError("seconds go to 59; leap seconds are not taken")
        if hour > "23" or minute > "59":
            raise InvalidTimestampError("hours go to 23, minutes to 59")
        midnight = self._days.get(day)
        if midnight is None:
            midnight = self._midnight(day)
        time_us = midnight + (int(hour) * 3600 + int(minute) * 60 + int(second)) * SECOND
        if fraction is not None:
            time_us += int(fraction[:6].ljust(6, "0"))
        if sign is not None:
            time_us = self._shifted(time_us, sign, offset_hour, offset_minute)
        if not FIRST_US <= time_us < END_US:
            raise InvalidTimestampError("the day in UTC lies before 1900 or after 9999")
        return time_us

    def day(self, time_us: int) -> date:
        """The UTC day of a time."""
        number = time_us // DAY
        found = self._dates.get(number)
        if found is None:
            found = date.fromordinal(number + EPOCH_DAY)
            _remember(self._dates, number, found)
        return found

    def _midnight(self, day: str) -> int:
        try:
            midnight = (date.fromisoformat(day).toordinal() - EPOCH_DAY) * DAY
        except ValueError:
            raise InvalidTimestampError(f"there is no day {day}") from None
        _remember(self._days, day, midnight)
        return midnight

    @staticmethod
    def _shifted(time_us: int, sign: str, hour: str, minute: str) -> int:
        minutes = int(hour) * 60 + int(minute)
        if minute > "59" or minutes > MAX_OFFSET_MINUTES:
            raise InvalidTimestampError("offsets go to 18:00")
        shift = minutes * 60 * SECOND
        return time_us - shift if sign == "+" else time_us + shift


def to_microseconds(moment: datetime) -> int:
    """Microseconds since 1970 of an aware datetime, exactly."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def from_microseconds(time_us: int) -> datetime:
    """The aware datetime (UTC) of a count of microseconds."""
    return EPOCH + timedelta(microseconds=time_us)


def _remember(cache: dict[_K, _V], key: _K, value: _V) -> None:
    if len(cache) >= CACHED_DAYS:
        cache.clear()
    cache[key] = value
