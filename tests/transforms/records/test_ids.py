"""Identifiers."""

from __future__ import annotations

from functools import partial

from hypothesis import Phase, given, settings
from pyspark.sql import SparkSession

from lake.transforms.records.ids import clean_id
from tests.transforms.records.cases import NOTHING, check, messy_texts, twice

STU = partial(clean_id, prefix="STU", width=3)
OF_EVENTS = partial(clean_id, prefix="s-")

NUMBERED = {
    **dict.fromkeys(
        (
            "STU001", "stu001", "stu-1", "STU001 ", "1", "01", "\uff10\uff10\uff11", "stu_01",
            "Stu 1", "  stu - 001\t", "\u00a0STU001\u3000", "\ufeffSTU001", "ST\u200bU001",
            "\uff33\uff34\uff35\uff0d\uff11", "STU\u20111", "STU\u22121", "STU0001", "1.0",
            "STU-\u0661", "stu1\r\n", "\uff33\uff34\uff35\uff3f\uff10\uff11",
        ),
        ("STU001", None),
    ),
    "STU000": ("STU000", None),
    "0": ("STU000", None),
    "42": ("STU042", None),
    "STU1234": ("STU1234", None),
    "stu-00012345678901234567890": ("STU12345678901234567890", None),
    "STU": ("STU", "id_unusual"),
    "stu-1a": ("STU1A", "id_unusual"),
    "STD-001": ("STD001", "id_unusual"),
    "STUSTU1": ("STUSTU1", "id_unusual"),
    "1.5": ("1.5", "id_unusual"),
    "\u00e9-1": ("\u00c91", "id_unusual"),
    "ana@school.example": ("ANA@SCHOOL.EXAMPLE", "id_unusual"),
    "\U0001f600": ("\U0001f600", "id_unusual"),
    "": NOTHING,
    "  \u00a0 ": NOTHING,
    "-": NOTHING,
    "N/A": NOTHING,
    "null": NOTHING,
    "NaN": NOTHING,
}  # fmt: skip
AS_EVENTS_WRITE = {
    **dict.fromkeys(("s-1", "S1", "1", "s-001", "s_1", "\uff53\uff0d\uff11"), ("s-1", None)),
    "s-10": ("s-10", None),
    "S": ("S", "id_unusual"),
    "student-1": ("STUDENT1", "id_unusual"),
}
ANY = {
    "ATT0001": ("ATT0001", None),
    "att-0001": ("ATT0001", None),
    "att-1": ("ATT1", None),
    "math 101 ": ("MATH101", None),
    "physics_9": ("PHYSICS9", None),
    "9-A": ("9A", None),
    "\uff19\uff21": ("9A", None),
    "\u0444\u0438\u0437-9": ("\u0424\u0418\u04179", None),
    "CS.101": ("CS.101", "id_unusual"),
    "9/a": ("9/A", "id_unusual"),
    "none": NOTHING,
    "na": NOTHING,
    "--": NOTHING,
}


def test_clean_id__one_form_for_all_spellings(spark: SparkSession) -> None:
    check(spark, (STU, NUMBERED), (OF_EVENTS, AS_EVENTS_WRITE), (clean_id, ANY))


@settings(max_examples=3, phases=(Phase.explicit, Phase.generate))
@given(texts=messy_texts("stu", "STU", "1", "001", "\uff11", "s-", "NA", "1.0"))
def test_clean_id__idempotent(spark: SparkSession, texts: list[str]) -> None:
    for rule in (STU, OF_EVENTS, clean_id):
        assert not [pair for pair in twice(spark, rule, texts) if pair[0] != pair[1]]
