"""What a rule makes of a text: a value and, where there is something to say, a flag."""

from __future__ import annotations

from collections.abc import Callable

from pyspark.sql import Column
from pyspark.sql import functions as F

from schemas.records import AMBIGUOUS_DATE

# A rule takes a column of text and gives a column of struct<value, flag>.
Rule = Callable[[Column], Column]

# Every flag that there is. Those in the first part leave a value, the others leave null; so does
# unknown_value, but for towns.
FLAGS = {
    "id_unusual": "the id does not have the expected form; it is kept, folded",
    "tz_assumed": "the time has no offset and is read as UTC",
    "time_dropped": "a day is wanted and a time of day stood beside it",
    "excel_date": "a number was read as a day of Excel's calendar",
    "name_unusual": "the name has no letter, or has a digit or an @",
    "phone_unusual": "the number's length is possible, but no such number is given out",
    "extension_dropped": "the telephone number had an extension, which E.164 cannot hold",
    "before_opened_at": "the ticket was closed before it was opened",
    "after_enrollment_date": "the student was born after the enrolment",
    "above_max_score": "the score is greater than the points that could be reached",
    "ragged_row": "the row has more or fewer fields than the header",
    AMBIGUOUS_DATE: "day and month cannot be told apart, and no date order is set",
    "unreadable_date": "no such day or time, a year of two digits, or no date at all",
    "ambiguous_number": "the comma may be a decimal comma or part a thousand",
    "unreadable_number": "no number",
    "not_a_number": "NaN or infinite",
    "not_whole": "a whole number is wanted",
    "unexpected_percent": "a percent sign where points are wanted",
    "out_of_range": "outside of the bounds",
    "unknown_value": "a word that the vocabulary does not have; a town is kept as it is",
    "email_invalid": "no valid e-mail address",
    "phone_no_region": "a national number, and no region is set",
    "phone_invalid": "no telephone number has this length",
    "phone_unreadable": "no telephone number",
}


def outcome(value: Column, flag: Column | str | None = None) -> Column:
    """struct<value, flag>; a flag that is named must be one of FLAGS."""
    if isinstance(flag, str):
        flag = flag_named(flag)
    elif flag is None:
        flag = F.lit(None).cast("string")
    return F.struct(value.alias("value"), flag.alias("flag"))


def nothing(kind: str, flag: str | None = None) -> Column:
    """No value of the type `kind`."""
    return outcome(F.lit(None).cast(kind), flag)


def flag_named(flag: str) -> Column:
    if flag not in FLAGS:
        raise ValueError(f"{flag} is not one of FLAGS")
    return F.lit(flag)


def let(value: Column, body: Callable[[Column], Column]) -> Column:
    """body(value), with value computed once however often body names it.

    It is interpreted, not compiled: rules take the usual form of a text by a plain comparison
    and come here with the others only.
    """
    return F.get(F.transform(F.array(value), lambda bound: body(bound)), F.lit(0))
