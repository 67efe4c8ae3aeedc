"""Names, e-mail addresses and telephone numbers.

These run in Python, row by row, which no other rule does: composing letters (NFC), and knowing
addresses and the numbering plans of all countries, is what libraries are for, and only registers
and enrolments have such fields: thousands of rows where attendance has millions.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import partial

import pyarrow as pa
from pyspark.sql import Column
from pyspark.sql import functions as F

from lake.transforms.records.characters import NOTHING

Tidied = tuple[str | None, str | None]

_BLANKS = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")
_EDGES = " \u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
_SUFFIXES = frozenset({"jr", "sr", "ii", "iii", "iv", "phd", "md"})
# A new word begins after these; after an apostrophe only before two letters (d'Arc, King's).
_WORD = re.compile(r"(?<=[ \-./(])|(?<=['\u2019])(?=[^\W\d_]{2})")


def clean_name(text: Column) -> Column:
    """A person's name: struct<value: string, flag>.

    Composed letters (NFC), single blanks; `Last, First` becomes `First Last`, except before a
    suffix (`King, Jr.`); a name all in capitals or all in small letters gets capitals, others
    keep their case. Idempotent.
    """
    return _row_by_row(tidy_name)(text)


def clean_email(text: Column) -> Column:
    """An e-mail address with its domain in small letters: struct<value: string, flag>.

    Valid by syntax; nothing asks a name server. Text before the @ keeps its case.
    """
    return _row_by_row(tidy_email)(text)


def clean_phone(text: Column, *, region: str | None = None) -> Column:
    """A telephone number in E.164 (`+442079460958`): struct<value: string, flag>.

    region: the country (`GB`) of numbers that have no +; without it they are phone_no_region.
    """
    return _row_by_row(partial(tidy_phone, region=region))(text)


def tidy_name(text: str) -> Tidied:
    name = _one_line(unicodedata.normalize("NFC", text))
    if not name:
        return None, None
    last, comma, first = (part.strip(_EDGES) for part in name.partition(","))
    if comma and last and first and "," not in first and _bare(first) not in _SUFFIXES:
        name = f"{first} {last}"
    if name.isupper() or name.islower():
        name = unicodedata.normalize("NFC", "".join(map(_capitalised, _WORD.split(name))))
    is_usual = any(map(str.isalpha, name)) and not re.search(r"[\d@]", name)
    return name, None if is_usual else "name_unusual"


def tidy_email(text: str) -> Tidied:
    from email_validator import EmailNotValidError, validate_email

    address = re.sub(r"^mailto:", "", _compatible(text), flags=re.IGNORECASE)
    if address.upper() in NOTHING:
        return None, None
    try:
        return validate_email(address, check_deliverability=False).normalized, None
    except EmailNotValidError:
        return None, "email_invalid"


def tidy_phone(text: str, region: str | None) -> Tidied:
    import phonenumbers
    from phonenumbers import NumberParseException

    written = _compatible(text)
    if written.upper() in NOTHING:
        return None, None
    try:
        number = phonenumbers.parse(written, region)
    except NumberParseException as error:
        has_no_country = error.error_type == NumberParseException.INVALID_COUNTRY_CODE
        is_national = has_no_country and region is None and "+" not in written
        return None, "phone_no_region" if is_national else "phone_unreadable"
    # Lengths hardly ever change; which numbers are given out does, with each release.
    if not phonenumbers.is_possible_number(number):
        return None, "phone_invalid"
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    if number.extension:
        return e164, "extension_dropped"
    return e164, None if phonenumbers.is_valid_number(number) else "phone_unusual"


def _row_by_row(tidy: Callable[[str], Tidied]) -> Callable[[Column], Column]:
    def tidy_all(texts: pa.Array) -> pa.Array:
        found = [(None, None) if text is None else tidy(text) for text in texts.to_pylist()]
        columns = [pa.array([pair[at] for pair in found], pa.string()) for at in range(2)]
        return pa.StructArray.from_arrays(columns, names=["value", "flag"])

    # pyspark's type stubs do not know it yet.
    return F.arrow_udf(tidy_all, "value string, flag string")  # type: ignore[attr-defined]


def _compatible(text: str) -> str:
    """Full-width and other compatibility characters as their plain ones."""
    return _one_line(unicodedata.normalize("NFKC", text))


def _one_line(text: str) -> str:
    return _BLANKS.sub(" ", text).strip(_EDGES)


def _bare(word: str) -> str:
    return word.replace(".", "").lower()


def _capitalised(piece: str) -> str:
    first = piece[:1].title()
    # Some letters have no capital of one letter (ß): they stay.
    return (first if len(first) == 1 else piece[:1]) + piece[1:].lower()
