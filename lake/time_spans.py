"""Spans of a time column: conditions that engines answer from statistics of a table's files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Self

from pyspark.sql import Column
from pyspark.sql import functions as F

from lake.timestamps import from_microseconds

SLOT_SECONDS = 900
# Spans are as narrow as MOST_SPANS allows: a condition of more costs more than the files it skips.
WIDTHS = (SLOT_SECONDS, 3_600, 86_400)
MOST_SPANS = 24
# Delta cuts times in statistics to milliseconds.
STATISTICS_STEP = timedelta(milliseconds=1)

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
    def of_slots(cls, column: str, slots: Iterable[int]) -> Self:
        """What `slots_of` found; whole hours or days where that are too many spans."""
        seconds = [slot * SLOT_SECONDS for slot in slots]
        for width in WIDTHS:
            found = cls.covering(column, {_span(second, width) for second in seconds})
            if len(found.spans) <= MOST_SPANS:
                break
        return found

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
    return midnight, midnight + timedelta(days=1)


def slots_of(column: str) -> Column:
    """Aggregate: quarters of an hour (since 1970, UTC) that hold the column's times.

    For `TimeSpans.of_slots`. Numbers: a collected timestamp would be naive local time of this
    machine.
    """
    return F.collect_set(F.floor(F.unix_seconds(column) / SLOT_SECONDS))


def _span(second: int, width: int) -> Span:
    """The one of the spans of `width` seconds since 1970 that holds the second."""
    since = from_microseconds(second // width * width * 1_000_000)
    return since, since + timedelta(seconds=width)
