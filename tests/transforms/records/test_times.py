"""Days and instants."""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import partial

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from lake.transforms.records.outcome import Rule, let, outcome
from lake.transforms.records.times import clean_date, clean_instant
from tests.transforms.frames import us
from tests.transforms.records.cases import NOTHING, Wanted, check

DAY = date(2025, 9, 12)
NO_DATE: Wanted = (None, "unreadable_date")
AMBIGUOUS: Wanted = (None, "ambiguous_date")

DATES = {
    **dict.fromkeys(
        (
            "2025-09-12", "2025-9-12", "2025/09/12", "2025/9/12", "2025.09.12", "20250912",
            "12.09.2025", "12.9.2025", "12. 9. 2025", "12 Sep 2025", "12-Sep-2025", "12Sep2025",
            "12 SEPTEMBER 2025", "12th Sept. 2025", "Sep 12, 2025", "September 12th, 2025",
            "sep. 12 2025", " 2025-09-12\u00a0", "\uff12\uff10\uff12\uff15-09-12",
            "2025\u201109\u201112", "2025-09-12T00:00:00Z", "2025-09-12 00:00",
            "2025-09-12T00:00:00.000-05:00",
        ),
        (DAY, None),
    ),
    **dict.fromkeys(
        ("2025-09-12T10:30:00Z", "2025-09-12 23:59:59.9", "12 Sep 2025, 3:00 PM",
         "2025-09-12T23:30:00-05:00", "12.9.2025 10:30"),
        (DAY, "time_dropped"),
    ),
    "45912": (DAY, "excel_date"),
    "45912.5": (DAY, "excel_date"),
    "45912.0": (DAY, "excel_date"),
    "20000": (date(1954, 10, 3), "excel_date"),
    "80000": (date(2119, 1, 11), "excel_date"),
    "13/9/2025": (date(2025, 9, 13), None),
    "9/13/2025": (date(2025, 9, 13), None),
    "31-01-2025": (date(2025, 1, 31), None),
    "09/09/2025": (date(2025, 9, 9), None),
    "9/9/2025 00:00:00": (date(2025, 9, 9), None),
    "2024-02-29": (date(2024, 2, 29), None),
    "1900-01-01": (date(1900, 1, 1), None),
    "2199-12-31": (date(2199, 12, 31), None),
    **dict.fromkeys(("9/12/2025", "12-09-2025", "01/02/2025 10:00", "1/12/2025"), AMBIGUOUS),
    **dict.fromkeys(
        (
            "2025-02-29", "31.02.2025", "2025-13-01", "2025-00-10", "2025-01-00", "13/13/2025",
            "0/5/2025", "5/0/2025", "12/9/25", "12.9.25", "9-12-25", "12 Sep 25", "31 Feb 2025",
            "2025", "2025-09", "19999", "80001", "1757635200", "yesterday", "Sep 2025",
            "2025-09-12T25:00:00Z", "2025-09-12 soon", "2025/09-12", "20251301", "1899-12-31",
            "2200-01-01", "9999-12-31", "0001-01-01", "12 Foo 2025", "2025-09-12T10:60Z",
            "2025-09-12 13:00 PM", "+12025-09-12", "#REF!",
        ),
        NO_DATE,
    ),
    **dict.fromkeys(("", "  ", "n/a", "NULL", "-", "\u2013"), NOTHING),
}  # fmt: skip
DAY_FIRST = {
    "9/12/2025": (date(2025, 12, 9), None),
    "09-12-2025": (date(2025, 12, 9), None),
    "31/12/2025": (date(2025, 12, 31), None),
    "12/31/2025": NO_DATE,
    "2025-09-12": (DAY, None),
    "12.9.2025": (DAY, None),
}
MONTH_FIRST = {
    "9/12/2025": (DAY, None),
    "09-12-2025": (DAY, None),
    "12/31/2025": (date(2025, 12, 31), None),
    "31/12/2025": NO_DATE,
    "12.9.2025": (DAY, None),
}


def test_clean_date__every_form(spark: SparkSession) -> None:
    check(
        spark,
        (clean_date, DATES),
        (partial(clean_date, date_order="dmy"), DAY_FIRST),
        (partial(clean_date, date_order="mdy"), MONTH_FIRST),
    )


def at(*parts: int) -> int:
    return us(datetime(*parts, tzinfo=UTC))  # type: ignore[arg-type, misc]


INSTANTS = {
    **dict.fromkeys(
        (
            "2025-09-12T10:30:00Z", "2025-09-12 10:30:00Z", "2025-09-12T10:30:00.000Z",
            "2025-09-12T12:30:00+02:00", "2025-09-12 12:30 +0200", "2025-09-12T12:30+02",
            "2025-09-12T05:00:00-05:30", "2025-09-12 10:30:00 UTC", "2025-09-12t10:30:00z",
            "12.9.2025 10:30 GMT", "12 Sep 2025 10:30:00 AM +0000", "Sep 12, 2025, 10:30 am Z",
            "9/13/2025 04:30:00 +18:00",
        ),
        (at(2025, 9, 12, 10, 30), None),
    ),
    **dict.fromkeys(
        ("2025-09-12T10:30:00", "2025-09-12 10:30:00", "2025-09-12 10:30", "12 Sep 2025 10:30",
         "2025/9/12 10:30:00.0", "2025-09-12 10:30\u202fAM", "2025-09-12 10:30 a.m."),
        (at(2025, 9, 12, 10, 30), "tz_assumed"),
    ),
    "2025-09-12": (at(2025, 9, 12), "tz_assumed"),
    "20250912": (at(2025, 9, 12), "tz_assumed"),
    "2025-09-12 12:00 AM": (at(2025, 9, 12), "tz_assumed"),
    "2025-09-12 12:05 PM": (at(2025, 9, 12, 12, 5), "tz_assumed"),
    "2025-09-12 3:45 PM": (at(2025, 9, 12, 15, 45), "tz_assumed"),
    "2025-09-12T10:30:00.123456Z": (at(2025, 9, 12, 10, 30, 0, 123_456), None),
    "2025-09-12T10:30:00.123456999Z": (at(2025, 9, 12, 10, 30, 0, 123_456), None),
    "2025-09-12 10:30:00,5": (at(2025, 9, 12, 10, 30, 0, 500_000), "tz_assumed"),
    "2025-09-12T23:30:00-05:00": (at(2025, 9, 13, 4, 30), None),
    "45912": (at(2025, 9, 12), "excel_date"),
    "45912.4375": (at(2025, 9, 12, 10, 30), "excel_date"),
    "45912.437500001": (at(2025, 9, 12, 10, 30), "excel_date"),
    "13/9/2025 10:30Z": (at(2025, 9, 13, 10, 30), None),
    **dict.fromkeys(("9/12/2025 10:30Z", "1/2/2025"), AMBIGUOUS),
    **dict.fromkeys(
        (
            "2025-09-12T24:00:00Z", "2025-09-12T23:59:60Z", "2025-09-12T10:30:00+18:30",
            "2025-02-30T10:30:00Z", "2025-09-12T10Z", "2025-09-12 0:30 AM", "10:30", "now",
            "2025-09-12T10:30:00Zulu", "1899-12-31T10:30:00Z", "9999-12-31T23:59:59Z",
        ),
        NO_DATE,
    ),
    **dict.fromkeys(("", "None", "N/A"), NOTHING),
}  # fmt: skip
DAY_FIRST_INSTANTS = {"9/12/2025 10:30Z": (at(2025, 12, 9, 10, 30), None)}


def in_microseconds(rule: Rule) -> Rule:
    """The rule with its instant as a count: Spark would give a time of the machine's zone."""
    return lambda text: let(
        rule(text), lambda found: outcome(F.unix_micros(found["value"]), found["flag"])
    )


def test_clean_instant__every_form(spark: SparkSession) -> None:
    check(
        spark,
        (in_microseconds(clean_instant), INSTANTS),
        (in_microseconds(partial(clean_instant, date_order="dmy")), DAY_FIRST_INSTANTS),
    )
