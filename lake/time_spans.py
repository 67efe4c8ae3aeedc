"""Spans of a time column: conditions that engines answer from statistics of a table's files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Self

from pyspark.sql import Column
from pyspark.sql import functions as F

from lake.timestamps import from_microseconds

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
HOUR_SECONDS = 3_600
# Delta cuts times in statistics to milliseconds.
STATISTICS_STEP = timedelta(milliseconds=1)
# A condition of more spans costs more than the files that it skips.
MOST_SPANS = 24

Span = tuple[datetime, datetime]


@dataclass(frozen=True)
class TimeSpans:
    """Spans of a timestamp column: since … (inclusive), until … (exclusive); apart, ascending."""

    column: str
    spans: tuple[Span, ...]

    @classmethod
    def covering(cls, column: str, spans: Iterable[Span]) -> Self:
        """Those spans, overlapping and adjacent ones as one."""
        merged: list[Span] = []
        for since, until in sorted(spans):
            if merged and since <= merged[-1][1]:
                merged[-1] = merged[-1][0], max(until, merged[-1][1])
            else:
                merged.append((since, until))
        return cls(column, tuple(merged))

    @classmethod
    def of_days(cls, column: str, days: Iterable[date]) -> Self:
        """The UTC days."""
        return cls.covering(column, (day_span(day) for day in days))

    @classmethod
    def of_hours(cls, column: str, hours: Iterable[int]) -> Self:
        """What `hours_of` found; whole days where that are too many spans."""
        starts = [from_microseconds(hour * HOUR_SECONDS * 1_000_000) for hour in hours]
        found = cls.covering(column, ((start, start + HOUR) for start in starts))
        if len(found.spans) <= MOST_SPANS:
            return found
        return cls.of_days(column, {start.date() for start in starts})

    def sql(self, prefix: str = "") -> str:
        """Whether a row lies within, in SQL that Spark and DataFusion have in common."""
        name = f"{prefix}{self.column}"
        within = (
            f"({name} >= TIMESTAMP'{since}' AND {name} < TIMESTAMP'{until}')"
            for since, until in self.spans
        )
        return f"({' OR '.join(within)})" if self.spans else "FALSE"

    @property
    def condition(self) -> Column:
        """The same as a Column."""
        return F.expr(self.sql())

    def may_hold(self, least: datetime | None, most: datetime | None) -> bool:
        """False where a file whose statistics name these times has no row within."""
        if least is None or most is None:
            return True
        most += STATISTICS_STEP
        return any(least < until and most >= since for since, until in self.spans)


def day_span(day: date) -> Span:
    midnight = datetime.combine(day, time(), UTC)
    return midnight, midnight + DAY


def hours_of(column: str) -> Column:
    """Aggregate: the hours (since 1970, UTC) in which the column's times lie; see `of_hours`.

    Numbers, because a collected timestamp would be naive local time of this machine.
    """
    return F.collect_set(F.floor(F.unix_seconds(column) / HOUR_SECONDS))
