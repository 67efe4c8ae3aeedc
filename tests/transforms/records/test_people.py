"""Names, e-mail addresses and telephone numbers."""

from __future__ import annotations

import unicodedata
from functools import partial

from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from lake.transforms.records.people import (
    clean_email,
    clean_name,
    clean_phone,
    tidy_email,
    tidy_name,
)
from tests.transforms.records.cases import BLANK, NOTHING, Wanted, check

NAMES = {
    **dict.fromkeys(
        ("Ana Silva", "  Ana   Silva ", "ANA SILVA", "ana silva", "Silva, Ana", "SILVA,ANA",
         "silva , ana", "Ana\u00a0Silva", "\ufeffAna\tSilva\r\n", "Ana\u3000Silva\u200b"),
        ("Ana Silva", None),
    ),
    "Jose\u0301 A\u0301lvarez": ("Jos\u00e9 \u00c1lvarez", None),
    "JOSE\u0301": ("Jos\u00e9", None),
    "MARY-JANE O'NEIL": ("Mary-Jane O'Neil", None),
    "d\u2019arc, jeanne": ("Jeanne D\u2019Arc", None),
    "Ludwig van Beethoven": ("Ludwig van Beethoven", None),
    "McDonald": ("McDonald", None),
    "King, Jr.": ("King, Jr.", None),
    "King, Martin, Jr.": ("King, Martin, Jr.", None),
    "Silva,": ("Silva,", None),
    "\u674e \u5c0f\u9f99": ("\u674e \u5c0f\u9f99", None),
    "\u00dfen": ("\u00dfen", None),
    "Null": ("Null", None),
    "Ana 2": ("Ana 2", "name_unusual"),
    "ana@school.example": ("Ana@school.Example", "name_unusual"),
    "???": ("???", "name_unusual"),
    **dict.fromkeys(("", "  ", "\u200b"), NOTHING),
}  # fmt: skip
BAD_ADDRESS: Wanted = (None, "email_invalid")
EMAILS = {
    **dict.fromkeys(
        ("Ana.Silva@school.org", " Ana.Silva@School.ORG ", "mailto:Ana.Silva@school.org",
         "Ana.Silva\uff20school.org", "\ufeffAna.Silva@school.org\n"),
        ("Ana.Silva@school.org", None),
    ),
    "ana+lms@school.example": ("ana+lms@school.example", None),
    "ana@b\u00dccher.de": ("ana@b\u00fccher.de", None),
    **dict.fromkeys(
        ("ana", "ana@", "@school.org", "ana@school", "a b@school.org", "ana@school..org",
         "ana@@school.org", "Ana <ana@school.org>", "a@school.org; b@school.org", "a.@school.org",
         "ana@localhost", "ana@[127.0.0.1]"),
        BAD_ADDRESS,
    ),
    **dict.fromkeys(("", " ", "n/a", "NULL", "-"), NOTHING),
}  # fmt: skip
INTERNATIONAL = {
    **dict.fromkeys(
        ("+44 20 7946 0958", "+442079460958", "(+44) 20 7946 0958", "tel:+44-20-7946-0958",
         "\uff0b44 20 7946 0958", " +44\u00a020 7946 0958"),
        ("+442079460958", None),
    ),
    **dict.fromkeys(
        ("020 7946 0958", "2079460958", "00442079460958"), (None, "phone_no_region")
    ),
    "+44 20 7946 0958 ext. 12": ("+442079460958", "extension_dropped"),
    "+1 201 555 5555": ("+12015555555", None),
    "+1 555 555 0100": ("+15555550100", "phone_unusual"),
    "+44 20": (None, "phone_invalid"),
    "+4420794609581234": (None, "phone_invalid"),
    **dict.fromkeys(("+999 123 456 789", "call me", "ana@school.org", "1"),
                    (None, "phone_unreadable")),
    **dict.fromkeys(("", "-", "none", "N/A"), NOTHING),
}  # fmt: skip
BRITISH = {
    **dict.fromkeys(
        ("020 7946 0958", "2079460958", "00442079460958", "+442079460958", "(020) 7946-0958"),
        ("+442079460958", None),
    ),
    "123": (None, "phone_invalid"),
    "n/a": NOTHING,
}


def test_people__every_form(spark: SparkSession) -> None:
    check(
        spark,
        (clean_name, NAMES),
        (clean_email, EMAILS),
        (clean_phone, INTERNATIONAL),
        (partial(clean_phone, region="GB"), BRITISH),
    )


PIECES = st.one_of(
    st.text(max_size=5),
    st.sampled_from((*BLANK, ",", "-", "'", "ana", "SILVA", "jr.", "\u0149", "\u00df", "e\u0301")),
)


@given(st.lists(PIECES, max_size=6).map("".join))
def test_tidy_name__idempotent_and_composed(text: str) -> None:
    name, _ = tidy_name(text)
    if name is not None:
        assert tidy_name(name)[0] == name
        assert unicodedata.is_normalized("NFC", name)
        assert name == " ".join(name.split())


@given(st.emails())
def test_tidy_email__idempotent(address: str) -> None:
    tidied, _ = tidy_email(address)
    if tidied is not None:
        assert tidy_email(tidied) == (tidied, None)
