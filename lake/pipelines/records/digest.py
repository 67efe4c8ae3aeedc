"""What a record says, in one form: which of two records of one version is in force."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, DoubleType, TimestampType

from lake.transforms.records.cleaning import Cleaning
from schemas.records import SOURCES

SEPARATOR = "\x1f"
INSTANT = "yyyy-MM-dd'T'HH:mm:ss.SSSSSS'Z'"
# From one to below the other Python writes no exponent, and every digit fits into the decimal.
SMALLEST, LARGEST, DECIMAL = 1e-4, 1e16, "decimal(38, 22)"


def digest(source: str, rules: Cleaning, types: Mapping[str, DataType]) -> Column:
    """SHA-256, hex, of a cleaned row's content: fields without key, version and identifiers.

    types: of the cleaned columns. Text as it is; dates ISO; instants
    `2025-09-01T08:00:00.000000Z`; true, false; numbers in their shortest form; null is empty.
    """
    declared = SOURCES[source]
    names = [
        field.name
        for field in declared.fields
        if not field.is_identifier and field.name not in (*declared.keys, declared.version_field)
    ]
    columns = [rules.rules[name].column for name in names]
    texts = [F.coalesce(canonical(F.col(name), types[name]), F.lit("")) for name in columns]
    return F.sha2(F.concat_ws(SEPARATOR, *texts), 256)


def identifiers(source: str, rules: Cleaning, types: Mapping[str, DataType]) -> Column | None:
    """What the digest leaves out of a row but its student, as text; None where that is nothing.

    It begins with 0x1f, as no id of a student does.
    """
    names = [
        rules.rules[field.name].column
        for field in SOURCES[source].fields
        if field.is_identifier and field.name != "student_id"
    ]
    texts = [F.coalesce(canonical(F.col(name), types[name]), F.lit("")) for name in names]
    return F.concat_ws(SEPARATOR, F.lit(""), *texts) if texts else None


def canonical(value: Column, kind: DataType) -> Column:
    """A clean value as text; null for null."""
    match kind:
        case TimestampType():
            return F.date_format(value, INSTANT)
        case DoubleType():
            return _shortest(value)
        case _:
            return value.cast("string")


def _shortest(number: Column) -> Column:
    """As Python writes it: `87.5`, `100.0`, `0.0005`, `5e-05`, `1e+16`."""
    plain = F.regexp_replace(number.try_cast(DECIMAL).cast("string"), r"(\.[0-9]+?)0*$", "$1")
    size = F.abs(number)
    is_plain = (number == 0) | ((size >= SMALLEST) & (size < LARGEST))
    return F.when(is_plain, plain).otherwise(_with_exponent(number.cast("string")))


def _with_exponent(text: Column) -> Column:
    """Java's `5.0E-5` as Python's `5e-05`."""
    short = F.regexp_replace(text, r"\.0E", "E")
    two_digits = F.regexp_replace(short, r"E(-?)([0-9])$", "E$10$2")  # $1, a zero, $2
    signed = F.regexp_replace(two_digits, r"E([0-9])", "e+$1")
    return F.regexp_replace(signed, "E-", "e-")
