"""Numbers, shares and counts."""

from __future__ import annotations

from functools import partial

from pyspark.sql import SparkSession

from lake.transforms.records.numbers import clean_integer, clean_number, clean_share
from tests.transforms.records.cases import NOTHING, Wanted, check

OUTSIDE: Wanted = (None, "out_of_range")
AMBIGUOUS: Wanted = (None, "ambiguous_number")
UNREADABLE: Wanted = (None, "unreadable_number")
NO_NUMBER: Wanted = (None, "not_a_number")

NUMBERS = {
    **dict.fromkeys(
        ("87.5", "87,5", " 87.50 ", "+87.5", "\uff18\uff17.5", "\u00a087,5\u3000", "8.75E1",
         "87.5000000000000000000", "087.5", "\u0668\u0667.5"),
        (87.5, None),
    ),
    **dict.fromkeys(
        ("1,234.5", "1.234,5", "1 234,5", "1\u00a0234.5", "1\u202f234,5", "1'234.5",
         "1\u2019234,5", "1234,5", "1234.5"),
        (1234.5, None),
    ),
    **dict.fromkeys(("1,234,567", "1.234.567", "1 234 567", "1234567"), (1_234_567.0, None)),
    "-5": (-5.0, None),
    "\u22125": (-5.0, None),
    "- 5": (-5.0, None),
    "-0": (0.0, None),
    "0": (0.0, None),
    ".5": (0.5, None),
    "5.": (5.0, None),
    ",5": (0.5, None),
    "0,234": (0.234, None),
    "1234,567": (1234.567, None),
    "1.234": (1.234, None),
    "1e3": (1000.0, None),
    "1,234.": (1234.0, None),
    **dict.fromkeys(("1,234", "-12,345", "123,456"), AMBIGUOUS),
    **dict.fromkeys(
        ("abc", "12,34,567", "87 5", "1,23.4", "85/100", "5-", "(5)", "0x10", "1.2.3", "5d",
         "--5", "1,,5", ".", ",", "#DIV/0!", "\u2705", "12 hours"),
        UNREADABLE,
    ),
    **dict.fromkeys(("NaN", "inf", "-Infinity", "+INF", "\u221e", "1e999"), NO_NUMBER),
    **dict.fromkeys(("87%", "87 %", "87\uff05", "87 percent"), (None, "unexpected_percent")),
    **dict.fromkeys(("", " ", "-", "N/A", "null", "#N/A"), NOTHING),
}  # fmt: skip
BOUNDED = {
    "0": (0.0, None),
    "100": (100.0, None),
    "87%": (87.0, None),
    "87,5 %": (87.5, None),
    "-5": OUTSIDE,
    "-0.0001": OUTSIDE,
    "100.5": OUTSIDE,
    "\uff0d5": OUTSIDE,
    "101%": OUTSIDE,
    "inf": NO_NUMBER,
    "1,234": AMBIGUOUS,
}
POSITIVE = {"0": OUTSIDE, "-0": OUTSIDE, "0,0": OUTSIDE, "0.5": (0.5, None), "100": (100.0, None)}
HOURS = {
    **dict.fromkeys(("12", "12h", "12 h", "12 Hours", "12 hrs.", "12.0 hour"), (12.0, None)),
    "1,5 h": (1.5, None),
    "12 weeks": UNREADABLE,
    "h": UNREADABLE,
    "1h 30m": UNREADABLE,
}


def test_clean_number__every_form(spark: SparkSession) -> None:
    check(
        spark,
        (clean_number, NUMBERS),
        (partial(clean_number, minimum=0, maximum=100, allows_percent=True), BOUNDED),
        (partial(clean_number, above=0), POSITIVE),
        (partial(clean_number, units=("h", "hr", "hrs", "hour", "hours")), HOURS),
    )


PERCENT = {
    **dict.fromkeys(("100%", "100", "100.0", "100 %", "\uff11\uff10\uff10\uff05"), (1.0, None)),
    "87,5": (0.875, None),
    "87.5%": (0.875, None),
    "0": (0.0, None),
    "0.5": (0.005, None),
    "0.5%": (0.005, None),
    "-5": OUTSIDE,
    "100.1": OUTSIDE,
    "150%": OUTSIDE,
    "1,234": AMBIGUOUS,
    "done": UNREADABLE,
    "nan": NO_NUMBER,
    "": NOTHING,
}
SHARE = {
    "0.5": (0.5, None),
    "1": (1.0, None),
    "50%": (0.5, None),
    "0,5": (0.5, None),
    "50": OUTSIDE,
    "-0.1": OUTSIDE,
}


def test_clean_share__of_either_unit(spark: SparkSession) -> None:
    check(
        spark,
        (partial(clean_share, unit="percent"), PERCENT),
        (partial(clean_share, unit="share"), SHARE),
    )


COUNTS = {
    **dict.fromkeys(("12", "12.0", "12,0", " 12", "\uff11\uff12", "1.2e1"), (12, None)),
    "1 234": (1234, None),
    "0": (0, None),
    "12.5": (None, "not_whole"),
    "-1": OUTSIDE,
    "2147483647": (2_147_483_647, None),
    "2147483648": OUTSIDE,
    "1,234": AMBIGUOUS,
    "many": UNREADABLE,
    "12%": (None, "unexpected_percent"),
    "n/a": NOTHING,
}


def test_clean_integer__whole_numbers_only(spark: SparkSession) -> None:
    check(spark, (partial(clean_integer, minimum=0), COUNTS))
