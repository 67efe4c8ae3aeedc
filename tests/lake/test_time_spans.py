"""Spans of times, as conditions and against what files' statistics say."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from lake.time_spans import MOST_SPANS, Span, TimeSpans, day_span

NOON = datetime(2024, 2, 29, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
EPOCH_HOURS = int(NOON.timestamp()) // 3600


def hours(*shifts: int) -> tuple[Span, ...]:
    return tuple((NOON + n * HOUR, NOON + (n + 1) * HOUR) for n in shifts)


def test_covering__joins_what_overlaps_or_meets() -> None:
    given = [*hours(3), *hours(0), *hours(1), (NOON - HOUR / 2, NOON + HOUR / 2)]
    found = TimeSpans.covering("ts", given)
    assert found.spans == ((NOON - HOUR / 2, NOON + 2 * HOUR), *hours(3))


def test_of_hours__keeps_hours_apart_unless_they_are_too_many() -> None:
    assert TimeSpans.of_hours("ts", [EPOCH_HOURS, EPOCH_HOURS + 2]).spans == hours(0, 2)
    every_other = range(EPOCH_HOURS, EPOCH_HOURS + 2 * MOST_SPANS + 2, 2)
    (whole,) = TimeSpans.of_hours("ts", every_other).spans
    assert whole == (day_span(date(2024, 2, 29))[0], day_span(date(2024, 3, 2))[1])


def test_sql__names_each_span_and_is_false_without_any() -> None:
    first = "(old.ts >= TIMESTAMP'2024-02-29 12:00:00+00:00' AND old.ts < TIMESTAMP'2024-02-29 13"
    sql = TimeSpans.covering("ts", hours(0, 2)).sql("old.")
    assert sql.startswith(f"({first}:00:00+00:00') OR (")
    assert TimeSpans.covering("ts", []).sql() == "FALSE"


@pytest.mark.parametrize(
    ("least", "most", "expected"),
    [
        (NOON - 2 * HOUR, NOON - HOUR, False),
        (NOON + HOUR, NOON + 2 * HOUR, False),
        (NOON - HOUR, NOON + 2 * HOUR, True),
        (NOON + HOUR / 2, NOON + HOUR / 2, True),
        # Statistics are cut to milliseconds: the file's last time may lie a little later.
        (NOON - HOUR, NOON - timedelta(milliseconds=1), True),
        (NOON - HOUR, NOON - timedelta(milliseconds=2), False),
        (None, None, True),
    ],
)
def test_may_hold__is_false_only_where_no_row_is_within(
    least: datetime | None, most: datetime | None, expected: bool
) -> None:
    assert TimeSpans.covering("ts", hours(0)).may_hold(least, most) is expected
