"""Times against Python's own datetime, over the whole calendar."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake.timestamps import (
    InvalidTimestampError,
    TimestampParser,
    from_microseconds,
    to_microseconds,
)

offsets = st.integers(-18 * 60, 18 * 60).map(lambda m: timezone(timedelta(minutes=m)))
inside = st.datetimes(datetime(1900, 1, 2), datetime(9999, 12, 30))  # noqa: DTZ001 - naive is meant


@given(inside, offsets)
def test_microseconds__agrees_with_datetime(naive: datetime, offset: timezone) -> None:
    parser = TimestampParser()
    moment = naive.replace(tzinfo=offset)
    time_us = parser.microseconds(moment.isoformat())
    assert from_microseconds(time_us) == moment
    assert to_microseconds(moment) == time_us
    assert parser.day(time_us) == moment.astimezone(UTC).date()


@given(inside)
def test_microseconds__without_an_offset_is_utc(naive: datetime) -> None:
    moment = naive.replace(tzinfo=UTC)
    assert TimestampParser().microseconds(naive.isoformat()) == to_microseconds(moment)


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00Z", "1899-12-31T23:59:59.999999Z"])
def test_microseconds__refuses_the_zero_of_a_clock(text: str) -> None:
    with pytest.raises(InvalidTimestampError, match="before 1900"):
        TimestampParser().microseconds(text)


def test_microseconds__goes_by_the_day_in_utc() -> None:
    with pytest.raises(InvalidTimestampError, match="before 1900"):
        TimestampParser().microseconds("1900-01-01T00:00:00+00:01")
    assert TimestampParser().microseconds("1899-12-31T23:59:00-00:01") == -2_208_988_800_000_000
