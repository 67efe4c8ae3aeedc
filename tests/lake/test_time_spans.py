"""Spans of times, as conditions and against what files' statistics say."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from lake.time_spans import MOST_SPANS, SLOT_SECONDS, Span, TimeSpans, day_span

NOON = datetime(2024, 2, 29, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
FIRST_SLOT = int(NOON.timestamp()) // SLOT_SECONDS


def hours(*shifts: int) -> tuple[Span, ...]:
    return tuple((NOON + n * HOUR, NOON + (n + 1) * HOUR) for n in shifts)


def test_covering__joins_what_overlaps_or_meets() -> None:
    given = [*hours(3), *hours(0), *hours(1), (NOON - HOUR / 2, NOON + HOUR / 2)]
    found = TimeSpans.covering("ts", given)
    assert found.spans == ((NOON - HOUR / 2, NOON + 2 * HOUR), *hours(3))


def test_of_slots__are_wider_the_more_they_are() -> None:
    quarter = HOUR / 4
    narrow = TimeSpans.of_slots("ts", [FIRST_SLOT, FIRST_SLOT + 2]).spans
    assert narrow == ((NOON, NOON + quarter), (NOON + 2 * quarter, NOON + 3 * quarter))
    in_half_hours = range(FIRST_SLOT, FIRST_SLOT + 2 * MOST_SPANS + 2, 2)
    assert TimeSpans.of_slots("ts", in_half_hours).spans == (
        (NOON, NOON + (MOST_SPANS // 2 + 1) * HOUR),
    )
    in_two_hours = range(FIRST_SLOT, FIRST_SLOT + 8 * MOST_SPANS + 8, 8)
    (days,) = TimeSpans.of_slots("ts", in_two_hours).spans
    assert days == (day_span(date(2024, 2, 29))[0], day_span(date(2024, 3, 2))[1])


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
