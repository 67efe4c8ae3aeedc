"""Numbers, shares and counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from pyspark.sql import Column
from pyspark.sql import functions as F

from lake.transforms.records.folding import fold, is_nothing
from lake.transforms.records.outcome import flag_named, let, outcome

ShareUnit = Literal["percent", "share"]
MAX_INT = 2**31 - 1

_USUAL = r"^-?[0-9]{1,15}(?:\.[0-9]{1,15})?\z"
_PERCENT = r" ?(?:%|PERCENT|PCT)\z"
_SIGN = "^[+-]?"
_THOUSANDS = "[1-9][0-9]{0,2}"
_POINT = rf"{_SIGN}(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:E[+-]?[0-9]{{1,3}})?\z"
# 1,234,567 or 1,234.5
_COMMA_GROUPS = (
    rf"{_SIGN}{_THOUSANDS}(?:,[0-9]{{3}}){{2,}}\z|{_SIGN}{_THOUSANDS}(?:,[0-9]{{3}})+\.[0-9]*\z"
)
# 1.234.567 or 1.234,5
_POINT_GROUPS = (
    rf"{_SIGN}{_THOUSANDS}(?:\.[0-9]{{3}}){{2,}}(?:,[0-9]+)?\z"
    rf"|{_SIGN}{_THOUSANDS}\.[0-9]{{3}},[0-9]+\z"
)
# 1 234,5 or 1'234.5
_SPACED_GROUPS = rf"{_SIGN}{_THOUSANDS}(?:[ '\u2019][0-9]{{3}})+(?:[.,][0-9]+)?\z"
# 1,234: a thousand and more, or one and something
_AMBIGUOUS = rf"{_SIGN}{_THOUSANDS},[0-9]{{3}}\z"
_COMMA = rf"{_SIGN}[0-9]*,[0-9]+\z"
_NO_NUMBER = rf"{_SIGN}(?:NAN|INF|INFINITY|\u221e)\z"


def clean_number(
    text: Column,
    *,
    minimum: float | None = None,
    above: float | None = None,
    maximum: float | None = None,
    allows_percent: bool = False,
    units: tuple[str, ...] = (),
) -> Column:
    """A number: struct<value: double, flag>.

    A point is a decimal point. A comma is a decimal comma, or parts thousands, where only one of
    both is possible; `1,234` is ambiguous_number. Blanks and apostrophes part thousands.
    Bounds: minimum <= value, above < value, value <= maximum; outside: null, out_of_range.
    allows_percent: `87%` is 87, else unexpected_percent. units: words that may follow the number.
    """

    def bounded(value: Column, flag: Column) -> Column:
        return _bounded(value, flag, minimum=minimum, above=above, maximum=maximum)

    def judge(read: Column) -> Column:
        if allows_percent:
            return bounded(read["number"], read["flag"])
        percent = F.when(read["is_percent"], flag_named("unexpected_percent"))
        return bounded(read["number"], F.coalesce(read["flag"], percent))

    return _usual_or(text, bounded, let(_read(text, units), judge))


def clean_share(text: Column, *, unit: ShareUnit) -> Column:
    """A share from 0 to 1: struct<value: double, flag>; others are out_of_range.

    With a percent sign it is a percentage; without one, unit says what it is: `50` of unit
    percent and `0.5` of unit share are both 0.5.
    """

    def bounded(value: Column, flag: Column) -> Column:
        return _bounded(value, flag, minimum=0, maximum=1)

    def judge(read: Column) -> Column:
        number = read["number"]
        if unit == "share":
            number = F.when(read["is_percent"], number / 100).otherwise(number)
        else:
            number = number / 100
        return bounded(number, read["flag"])

    def usual(value: Column, flag: Column) -> Column:
        return bounded(value if unit == "share" else value / 100, flag)

    return _usual_or(text, usual, let(_read(text, ()), judge))


def clean_integer(text: Column, *, minimum: int = -MAX_INT, maximum: int = MAX_INT) -> Column:
    """A whole number: struct<value: int, flag>. `12.0` is 12; `12.5` is null, not_whole."""

    def judge(found: Column) -> Column:
        value = found["value"]
        not_whole = F.when(value != F.floor(value), flag_named("not_whole"))
        flag = F.coalesce(found["flag"], not_whole)
        return outcome(F.when(flag.isNull(), value.cast("int")), flag)

    return let(clean_number(text, minimum=minimum, maximum=maximum), judge)


def _usual_or(
    text: Column, judge_usual: Callable[[Column, Column], Column], otherwise: Column
) -> Column:
    # Adding zero makes the zero that -0 is.
    usual = judge_usual(text.try_cast("double") + 0.0, F.lit(None).cast("string"))
    return F.when(text.rlike(_USUAL), usual).otherwise(otherwise)


def _bounded(
    value: Column,
    flag: Column,
    *,
    minimum: float | None = None,
    above: float | None = None,
    maximum: float | None = None,
) -> Column:
    is_outside = F.lit(False)
    if minimum is not None:
        is_outside = is_outside | (value < float(minimum))
    if above is not None:
        is_outside = is_outside | (value <= float(above))
    if maximum is not None:
        is_outside = is_outside | (value > float(maximum))
    out_of_range = F.when(is_outside, flag_named("out_of_range"))
    return outcome(F.when(flag.isNull() & ~is_outside, value), F.coalesce(flag, out_of_range))


def _read(text: Column, units: tuple[str, ...]) -> Column:
    """struct<number: double, is_percent, flag> of a text in any form; bounds are not looked at."""

    def judge(parsed: Column) -> Column:
        folded, number = parsed["folded"], parsed["number"]
        flag = (
            F.when(folded.rlike(_NO_NUMBER), flag_named("not_a_number"))
            .when(is_nothing(folded), F.lit(None).cast("string"))
            .when(parsed["digits"].rlike(_AMBIGUOUS), flag_named("ambiguous_number"))
            .when(number.isNull(), flag_named("unreadable_number"))
            .when(F.abs(number) == float("inf"), flag_named("not_a_number"))
        )
        is_percent = folded.rlike(_PERCENT)
        return F.struct(number.alias("number"), is_percent.alias("is_percent"), flag.alias("flag"))

    def parse(cut: Column) -> Column:
        number = _with_decimal_point(cut["digits"]).try_cast("double") + 0.0
        fields = (cut["folded"].alias("folded"), cut["digits"].alias("digits"))
        return let(F.struct(*fields, number.alias("number")), judge)

    def cut(folded: Column) -> Column:
        digits = F.regexp_replace(folded, _suffix(units), "")
        digits = F.regexp_replace(digits, "^([+-]) ", "$1")
        return let(F.struct(folded.alias("folded"), digits.alias("digits")), parse)

    return let(fold(text), cut)


def _suffix(units: tuple[str, ...]) -> str:
    if not units:
        return _PERCENT
    words = "|".join(sorted((unit.upper() for unit in units), key=len, reverse=True))
    return rf"{_PERCENT}| ?(?:{words})\.?\z"


def _with_decimal_point(digits: Column) -> Column:
    """The number as a program writes it; null where the text is none or is ambiguous."""
    return (
        F.when(digits.rlike(_POINT), digits)
        .when(digits.rlike(_COMMA_GROUPS), F.translate(digits, ",", ""))
        .when(digits.rlike(_POINT_GROUPS), F.translate(digits, ",.", "."))
        .when(digits.rlike(_SPACED_GROUPS), F.translate(digits, ", '\u2019", "."))
        .when(digits.rlike(_AMBIGUOUS), F.lit(None).cast("string"))
        .when(digits.rlike(_COMMA), F.translate(digits, ",", "."))
    )
