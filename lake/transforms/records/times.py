"""Days and instants, of which each exporting program has its own spelling."""

from __future__ import annotations

from typing import Literal

from pyspark.sql import Column
from pyspark.sql import functions as F

from lake.transforms.clean import has_no_offset
from lake.transforms.records.folding import fold, is_nothing
from lake.transforms.records.outcome import flag_named, let, outcome
from schemas.records import AMBIGUOUS_DATE

DateOrder = Literal["dmy", "mdy"]
FIRST_DAY, LAST_DAY = "1900-01-01", "2199-12-31"

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_MONTH = (
    "(JAN(?:UARY)?|FEB(?:RUARY)?|MAR(?:CH)?|APR(?:IL)?|MAY|JUNE?|JULY?|AUG(?:UST)?"
    "|SEP(?:T|TEMBER)?|OCT(?:OBER)?|NOV(?:EMBER)?|DEC(?:EMBER)?)"
)
_NTH = "(?:ST|ND|RD|TH)?"
_REST = r"(?:[T ,]+(.+))?\z"
_YEAR_FIRST = r"^([0-9]{4})([-/.])([0-9]{1,2})\2([0-9]{1,2})" + _REST
_COMPACT = r"^((?:19|20)[0-9]{2})([0-9]{2})([0-9]{2})\z"
_DOTTED = r"^([0-9]{1,2})\. ?([0-9]{1,2})\. ?([0-9]{4})" + _REST
_NUMBERS = r"^([0-9]{1,2})([-/])([0-9]{1,2})\2([0-9]{4})" + _REST
_DAY_NAMED = rf"^([0-9]{{1,2}}){_NTH}[ .-]*{_MONTH}[ .,-]*([0-9]{{4}}){_REST}"
_NAMED_DAY = rf"^{_MONTH}[ .]*([0-9]{{1,2}}){_NTH}[ ,]+([0-9]{{4}}){_REST}"
_TIME = (
    r"^([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]{1,9}))?)?(?: ?([AP])\.?M\.?)?"
    r"(?: ?(Z|UTC|GMT|[+-][0-9]{2}(?::?[0-9]{2})?))?\z"
)
_MIDNIGHT = r"^00:00:00(?:\.0+)?\z"
_ISO_INSTANT = (
    r"^(?:19|20)[0-9]{2}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?"
    r"(?:Z|[+-][0-9]{2}:[0-9]{2})?\z"
)
_EXCEL = r"^([2-7][0-9]{4}|80000)(?:\.([0-9]+))?\z"
_EXCEL_1970 = 25_569
_MOMENT = (
    "struct<day: date, ts: timestamp, is_midnight: boolean, has_offset: boolean, flag: string>"
)


def clean_date(text: Column, *, date_order: DateOrder | None = None) -> Column:
    """The day that a text names: struct<value: date, flag>. Forms: see `_parts`.

    The day is the one written, whatever the offset of a time beside it; a time other than
    midnight is dropped with the flag time_dropped.
    """
    iso = text.try_cast("date")
    is_iso = (text == iso.cast("string")) & iso.between(FIRST_DAY, LAST_DAY)

    def judge(moment: Column) -> Column:
        time_dropped = F.when(~moment["is_midnight"], flag_named("time_dropped"))
        return outcome(moment["day"], F.coalesce(moment["flag"], time_dropped))

    return F.when(is_iso, outcome(iso)).otherwise(let(_moment(text, date_order), judge))


def clean_instant(text: Column, *, date_order: DateOrder | None = None) -> Column:
    """The instant that a text names, in microseconds: struct<value: timestamp, flag>.

    Without an offset it is read as UTC, with the flag tz_assumed; a day without a time is its
    beginning. Further digits of a fraction are cut off.
    """
    assumed = has_no_offset(text)
    iso = F.when(assumed, F.concat(text, F.lit("Z"))).otherwise(text).try_cast("timestamp")
    usual = outcome(iso, F.when(assumed, flag_named("tz_assumed")))

    def judge(moment: Column) -> Column:
        tz_assumed = F.when(~moment["has_offset"], flag_named("tz_assumed"))
        return outcome(moment["ts"], F.coalesce(moment["flag"], tz_assumed))

    return F.when(text.rlike(_ISO_INSTANT) & iso.isNotNull(), usual).otherwise(
        let(_moment(text, date_order), judge)
    )


def _moment(text: Column, date_order: DateOrder | None) -> Column:
    """struct<day, ts, is_midnight, has_offset, flag> of a text in any form."""
    none = F.lit(None).cast(_MOMENT)
    return let(
        fold(text),
        lambda folded: (
            F.when(is_nothing(folded), none)
            .when(folded.rlike(_EXCEL), _excel_moment(folded))
            .otherwise(let(_parts(folded, date_order), _moment_of_parts))
        ),
    )


def _excel_moment(folded: Column) -> Column:
    days = F.regexp_extract(folded, _EXCEL, 1).try_cast("int") - _EXCEL_1970
    fraction = F.concat(F.lit("0."), F.regexp_extract(folded, _EXCEL, 2), F.lit("0"))
    seconds = F.round(fraction.try_cast("double") * 86_400).cast("bigint")
    return F.struct(
        F.date_add(F.lit("1970-01-01").cast("date"), days).alias("day"),
        F.timestamp_seconds(days.cast("bigint") * 86_400 + seconds).alias("ts"),
        F.lit(True).alias("is_midnight"),
        F.lit(True).alias("has_offset"),
        flag_named("excel_date").alias("flag"),
    )


def _parts(folded: Column, date_order: DateOrder | None) -> Column:
    """struct<year, month, day, time, flag>, all text; nulls where no form fits.

    Forms: year first (2025-09-12, 2025/9/12, 2025.09.12, 20250912), day first with points
    (12.9.2025), month by its English name (12 Sep 2025, September 12th, 2025), two numbers with
    slashes or hyphens and the year (9/12/2025), whose order is date_order, or follows from a
    number above 12 or from two equal numbers, or is unknown: ambiguous_date. A time may follow.
    """

    def part(pattern: str, group: int) -> Column:
        return F.regexp_extract(folded, pattern, group)

    def month(pattern: str, group: int) -> Column:
        numbered = enumerate(_MONTHS, start=1)
        pairs = [F.lit(item) for number, name in numbered for item in (name, str(number))]
        return F.element_at(F.create_map(*pairs), F.substring(part(pattern, group), 1, 3))

    first, second = part(_NUMBERS, 1), part(_NUMBERS, 3)
    year, time = part(_NUMBERS, 4), part(_NUMBERS, 5)
    day_first = _struct_of_parts(year, second, first, time)
    month_first = _struct_of_parts(year, first, second, time)
    if date_order is None:
        a, b = first.try_cast("int"), second.try_cast("int")
        numbers = (
            F.when((a > 12) | (a == b) | (a == 0) | (b == 0), day_first)
            .when(b > 12, month_first)
            .otherwise(_no_parts(AMBIGUOUS_DATE))
        )
    else:
        numbers = day_first if date_order == "dmy" else month_first
    year_first = [part(_YEAR_FIRST, group) for group in (1, 3, 4, 5)]
    compact = [*(part(_COMPACT, group) for group in (1, 2, 3)), F.lit("")]
    dotted = [part(_DOTTED, group) for group in (3, 2, 1, 4)]
    day_named = (part(_DAY_NAMED, 3), month(_DAY_NAMED, 2), part(_DAY_NAMED, 1))
    named_day = (part(_NAMED_DAY, 3), month(_NAMED_DAY, 1), part(_NAMED_DAY, 2))
    return (
        F.when(folded.rlike(_YEAR_FIRST), _struct_of_parts(*year_first))
        .when(folded.rlike(_NUMBERS), numbers)
        .when(folded.rlike(_DOTTED), _struct_of_parts(*dotted))
        .when(folded.rlike(_COMPACT), _struct_of_parts(*compact))
        .when(folded.rlike(_DAY_NAMED), _struct_of_parts(*day_named, part(_DAY_NAMED, 4)))
        .when(folded.rlike(_NAMED_DAY), _struct_of_parts(*named_day, part(_NAMED_DAY, 4)))
        .otherwise(_no_parts("unreadable_date"))
    )


def _struct_of_parts(year: Column, month: Column, day: Column, time: Column) -> Column:
    return F.struct(
        year.alias("year"),
        month.alias("month"),
        day.alias("day"),
        time.alias("time"),
        F.lit(None).cast("string").alias("flag"),
    )


def _no_parts(flag: str) -> Column:
    none = [F.lit(None).cast("string").alias(name) for name in ("year", "month", "day", "time")]
    return F.struct(*none, flag_named(flag).alias("flag"))


def _moment_of_parts(parts: Column) -> Column:
    month, day = (F.lpad(parts[name], 2, "0") for name in ("month", "day"))
    iso = F.concat(parts["year"], F.lit("-"), month, F.lit("-"), day).try_cast("date")
    time = parts["time"]
    has_no_time = time == ""
    clock = F.when(has_no_time, F.lit("00:00:00")).when(time.rlike(_TIME), _clock(time))
    offset = F.when(has_no_time, F.lit("")).otherwise(_offset(time))

    def judge(found: Column) -> Column:
        offset = F.when(found["offset"] == "", F.lit("Z")).otherwise(found["offset"])
        # Concatenating a null gives null: no day, no clock, no instant.
        instant = F.concat(found["day"].cast("string"), F.lit("T"), found["clock"], offset)
        ts = instant.try_cast("timestamp")
        is_read = ts.isNotNull()
        return F.struct(
            F.when(is_read, found["day"]).alias("day"),
            ts.alias("ts"),
            found["clock"].rlike(_MIDNIGHT).alias("is_midnight"),
            (found["offset"] != "").alias("has_offset"),
            F.when(~is_read, F.coalesce(found["flag"], flag_named("unreadable_date"))).alias(
                "flag"
            ),
        )

    return let(
        F.struct(
            F.when(iso.between(FIRST_DAY, LAST_DAY), iso).alias("day"),
            clock.alias("clock"),
            offset.alias("offset"),
            parts["flag"].alias("flag"),
        ),
        judge,
    )


def _clock(time: Column) -> Column:
    """HH:MM:SS.fraction of a time that fits _TIME; null for hours of 12 that do not exist."""
    hour, half = F.regexp_extract(time, _TIME, 1), F.regexp_extract(time, _TIME, 5)
    second, fraction = F.regexp_extract(time, _TIME, 3), F.regexp_extract(time, _TIME, 4)
    hour_of_12 = hour.try_cast("int")
    afternoon = F.when(half == "P", 12).otherwise(0)
    of_12 = F.when(hour_of_12.between(1, 12), (hour_of_12 % 12 + afternoon).cast("string"))
    of_24 = F.when(half == "", hour).otherwise(of_12)
    return F.concat(
        F.lpad(of_24, 2, "0"),
        F.lit(":"),
        F.regexp_extract(time, _TIME, 2),
        F.lit(":"),
        F.when(second == "", F.lit("00")).otherwise(second),
        F.when(fraction == "", F.lit("")).otherwise(F.concat(F.lit("."), fraction)),
    )


def _offset(time: Column) -> Column:
    """Z, ±HH:MM or empty, of a time that fits _TIME."""
    found = F.regexp_extract(time, _TIME, 6)
    return (
        F.when(found.isin("Z", "UTC", "GMT"), F.lit("Z"))
        .when(F.length(found) == 3, F.concat(found, F.lit(":00")))
        .when(
            F.length(found) == 5,
            F.concat(F.substring(found, 1, 3), F.lit(":"), F.substring(found, 4, 2)),
        )
        .otherwise(found)
    )
