"""Words of a vocabulary, labels and free text."""

from __future__ import annotations

from functools import partial

from hypothesis import Phase, example, given, settings
from pyspark.sql import SparkSession

from lake.transforms.records.words import (
    clean_channel,
    clean_enrollment_status,
    clean_gender,
    clean_grade_level,
    clean_label,
    clean_presence,
    clean_text,
)
from tests.transforms.records.cases import NOTHING, Wanted, check, messy_texts, twice

UNKNOWN: Wanted = (None, "unknown_value")

PRESENCE = {
    **dict.fromkeys(
        ("PRESENT", "present", " Present ", "P", "p", "\uff30", "yes", "Y", "TRUE", "1", "1.0",
         "\u2714", "\u2714\ufe0f", "\u2705", "\u2611\ufe0f", "\u2713", "here", "pre\u200bsent"),
        (True, None),
    ),
    **dict.fromkeys(
        ("ABSENT", "absent", "A", "a ", "no", "n", "False", "0", "0.0", "\u274c", "\u2718",
         "\u2717", "\u2716\ufe0f", "\uff21"),
        (False, None),
    ),
    **dict.fromkeys(
        ("LATE", "late", "Excused", "x", "X", "?", "PRESENT?", "T", "2", "\U0001f600", "P/A"),
        UNKNOWN,
    ),
    **dict.fromkeys(("", " ", "-", "null", "N/A"), NOTHING),
}  # fmt: skip
LATE_IS_PRESENT = {
    **dict.fromkeys(("LATE", "late ", "L-A-T-E"), (True, None)),
    "Not here": (False, None),
    "present": (True, None),
    "x": (False, None),
    "tardy": UNKNOWN,
}
GENDER = {
    **dict.fromkeys(("female", "F", "f ", "Woman", "GIRL", "W", "\uff26"), ("female", None)),
    **dict.fromkeys(("male", "M", " m", "Man", "boy"), ("male", None)),
    **dict.fromkeys(("other", "Non-binary", "non binary", "NB", "X", "diverse"), ("other", None)),
    **dict.fromkeys(
        ("", "U", "unknown", "Prefer not to say", "prefer_not_to_say", "n/a", "-"), NOTHING
    ),
    **dict.fromkeys(("1", "fem ale?", "Z", "femal"), UNKNOWN),
}
ENROLLMENT = {
    **dict.fromkeys(("active", "ACTIVE ", "Enrolled", "current", "a"), ("active", None)),
    **dict.fromkeys(("Inactive", "in-active", "on leave"), ("inactive", None)),
    **dict.fromkeys(("graduated", "GRADUATE", "alumni"), ("graduated", None)),
    **dict.fromkeys(("withdrawn", "Dropped out", "left", "w"), ("withdrawn", None)),
    **dict.fromkeys(("suspended", "unknown", "1", "?"), UNKNOWN),
    "": NOTHING,
}
CHANNEL = {
    **dict.fromkeys(("email", "E-Mail", "e_mail", "mail"), ("email", None)),
    "Telephone": ("phone", None),
    "live chat": ("chat", None),
    "Web form": ("web", None),
    "in person": ("in_person", None),
    "pigeon": UNKNOWN,
    "none": NOTHING,
}


def test_vocabularies__known_words_and_others(spark: SparkSession) -> None:
    words = {"late": True, "not here": False, "X": False}
    check(
        spark,
        (clean_presence, PRESENCE),
        (partial(clean_presence, more_words=words), LATE_IS_PRESENT),
        (clean_gender, GENDER),
        (clean_enrollment_status, ENROLLMENT),
        (clean_channel, CHANNEL),
    )


GRADES = {
    **dict.fromkeys(
        ("9", "09", "9.0", "9th", "9TH grade", "Grade 9", "grade-9", "Gr. 9", "G9", "Year 9",
         "Class 9", "9th Grade", "IX", "ix", "Grade IX", "\uff19", " 9 ", "std 9"),
        (9, None),
    ),
    **dict.fromkeys(("0", "K", "kg", "Kindergarten"), (0, None)),
    "1st": (1, None),
    "2nd": (2, None),
    "3rd": (3, None),
    "I": (1, None),
    "viii": (8, None),
    "XIII": (13, None),
    "13": (13, None),
    **dict.fromkeys(("14", "Grade 99", "99999999999"), (None, "out_of_range")),
    **dict.fromkeys(("9A", "-1", "Pre-K", "freshman", "9.5", "XIV", "grade", "9/10"), UNKNOWN),
    **dict.fromkeys(("", "n/a", "-"), NOTHING),
}  # fmt: skip


def test_clean_grade_level__every_form(spark: SparkSession) -> None:
    check(spark, (clean_grade_level, GRADES))


NAMES = {"NYC": "New York", "new york city": "New York", "u.s.a.": "USA"}
LABELS = {
    **dict.fromkeys(
        ("New York", " new  york ", "NEW YORK", "new\u00a0york", "New\tYork\n", "\ufeffnew york"),
        ("New York", None),
    ),
    "stratford-upon-avon": ("Stratford-Upon-Avon", None),
    "KING'S LYNN": ("King's Lynn", None),
    "l'aquila": ("L'Aquila", None),
    "st. john's (north)": ("St. John's (North)", None),
    "\u00e9VREUX": ("\u00c9vreux", None),
    "\u6771\u4eac": ("\u6771\u4eac", None),
    "nyc": ("Nyc", None),
    **dict.fromkeys(("", "  ", "N/A", "none", "-"), NOTHING),
}
LABELS_WITH_NAMES = {
    **dict.fromkeys(("nyc", "N Y C", "New York City", "new-york", "New York"), ("New York", None)),
    "u.s.a.": ("USA", None),
    "usa": ("USA", None),
    "LONDON": ("London", "unknown_value"),
    "n/a": NOTHING,
}
LINES = {
    "  Refresh\r\n\tthe page ": ("Refresh the page", None),
    "ok": ("ok", None),
    "none": ("none", None),
    " \u200b ": NOTHING,
    "": NOTHING,
}
TEXTS = {
    " Hello,\r\n\r\n it  broke.\x00\r ": ("Hello,\r\n\r\n it  broke.", None),
    "a\tb": ("a\tb", None),
    "\n\n": NOTHING,
    " " * 50_000 + "x" + " " * 50_000: ("x", None),
}


def test_labels_and_texts__tidied(spark: SparkSession) -> None:
    check(
        spark,
        (clean_label, LABELS),
        (partial(clean_label, names=NAMES), LABELS_WITH_NAMES),
        (clean_text, LINES),
        (partial(clean_text, keeps_lines=True), TEXTS),
    )


@settings(max_examples=3, phases=(Phase.explicit, Phase.generate))
@given(
    texts=messy_texts("new york", "NYC", "d'arc", "St.", "king's", "\u00df", "\u0149a", "\u0130")
)
@example(
    texts=["'\u0130x", "'\u0149x", "\u03a3-\u03a3\u03a3 o'\u03a3", "\u01c6 a\u01c4", "d'e\u0301l"]
)
def test_clean_label__idempotent(spark: SparkSession, texts: list[str]) -> None:
    for rule in (clean_label, partial(clean_label, names=NAMES)):
        assert not [pair for pair in twice(spark, rule, texts) if pair[0] != pair[1]]
