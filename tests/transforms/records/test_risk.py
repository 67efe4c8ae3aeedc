"""Rules of risk: exactly when they fire, since when, and what they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from pyspark.sql import DataFrame, SparkSession

from lake.transforms.records.daily import student_days
from lake.transforms.records.risk import RiskRules, student_risks
from schemas.tables import TABLES
from tests.transforms.frames import dicts

FIRST = date(2025, 9, 1)
ATTENDANCE = (
    "attendance_id string, student_hash string, attendance_date date, class_id string, "
    "is_present boolean"
)
ASSESSMENTS = (
    "assessment_id string, student_hash string, assessment_date date, class_id string, "
    "score_pct double"
)
# Of one student: (day number, whether present), and (day number, score in per cent).
Present = tuple[int, bool]
Score = tuple[int, float]
# Day number → (since, value, observations).
Fired = dict[int, tuple[int, float, int]]


@dataclass(frozen=True)
class Case:
    """Facts of one student, and on which days a rule must fire."""

    fires: Fired
    attendance: Sequence[Present] = ()
    scores: Sequence[Score] = ()


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def attended(text: str, start: int = 0) -> list[Present]:
    """A record for each letter: P present, A absent, a dot for none."""
    return [(start + n, letter == "P") for n, letter in enumerate(text) if letter != "."]


def in_order(*scores: float) -> list[Score]:
    """A score a day."""
    return list(enumerate(scores))


def days_of(spark: SparkSession, cases: Sequence[Case]) -> DataFrame:
    """student_days of students s0, s1 …; assessments are called in the order given."""
    present = [
        (f"A{n}", f"s{student}", day(at), "9A", there)
        for student, case in enumerate(cases)
        for n, (at, there) in enumerate(case.attendance)
    ]
    marked = [
        (f"M{n:03d}", f"s{student}", day(at), "9A", percent / 100)
        for student, case in enumerate(cases)
        for n, (at, percent) in enumerate(case.scores)
    ]
    return student_days(
        spark.createDataFrame(present, ATTENDANCE), spark.createDataFrame(marked, ASSESSMENTS)
    )


def check(
    spark: SparkSession, rule: str, cases: Sequence[Case], rules: RiskRules | None = None
) -> None:
    rows = student_risks(days_of(spark, cases), rules or RiskRules())
    assert set(rows.columns) == set(TABLES["gold.student_risk_monitor"].column_names)
    found: list[Fired] = [{} for _ in cases]
    for row in dicts(rows):
        if row["rule"] == rule:
            since = (row["since"] - FIRST).days
            told = since, row["value"], row["observations"]
            found[int(row["student_hash"][1:])][(row["as_of_date"] - FIRST).days] = told
    assert found == [case.fires for case in cases]


def test_low_attendance__fires_below_the_threshold(spark: SparkSession) -> None:
    right_again = {4: (4, 0.6, 5), 5: (4, 4 / 6, 6), 6: (4, 5 / 7, 7), 7: (4, 0.75, 8),
                   8: (4, 7 / 9, 9)}  # fmt: skip
    cases = [
        # Four of five is the threshold and not below it.
        Case({}, attended("PPPPA")),
        Case({4: (4, 0.6, 5)}, attended("PPPAA")),
        # Four days are too few, whatever they say.
        Case({}, attended("AAAA")),
        Case({4: (4, 0.6, 5)}, attended("PPAAP")),
        Case(right_again, attended("PPPAAPPPPP")),
        # The absence of day 0 counts until day 29.
        Case({29: (29, 0.6, 5)}, [(0, False), *attended("PPPA", 26), (30, True)]),
    ]
    check(spark, "low_attendance", cases)


def test_absent_in_a_row__counts_the_newest_days_with_attendance(spark: SparkSession) -> None:
    cases = [
        Case({}, attended("PAA")),
        Case({3: (3, 3.0, 3)}, attended("PAAA")),
        Case({2: (2, 3.0, 3), 3: (2, 4.0, 4)}, attended("AAAA")),
        Case({4: (4, 3.0, 3)}, attended("AA..A")),
        Case({2: (2, 3.0, 3), 6: (6, 3.0, 3)}, attended("AAAPAAA")),
        # The first absence is as old as can be: 89 days.
        Case({89: (89, 3.0, 3)}, [(0, False), (50, False), (89, False)]),
        Case({}, [(0, False), (50, False), (90, False)]),
        # One record of presence is enough for a day.
        Case({}, [(0, False), (1, False), (2, False), (2, True)]),
        # A day of an assessment is judged, too.
        Case({2: (2, 3.0, 3), 10: (2, 3.0, 3)}, attended("AAA"), [(10, 90.0)]),
    ]
    check(spark, "absent_in_a_row", cases)


def test_low_scores__needs_three_and_a_mean_below(spark: SparkSession) -> None:
    cases = [
        Case({}, scores=in_order(40, 50, 60)),
        Case({2: (2, 49.5, 3)}, scores=in_order(40, 50, 58.5)),
        Case({}, scores=in_order(10, 10)),
        # Day 0 is out of the window of day 90, and two are too few.
        Case({}, scores=[(0, 10), (1, 10), (90, 10)]),
        Case({90: (90, 10.0, 3)}, scores=[(1, 10), (2, 10), (90, 10)]),
    ]
    check(spark, "low_scores", cases)


def test_falling_scores__last_three_against_those_before(spark: SparkSession) -> None:
    one_day = [(0, score) for score in (90.0, 90.0, 90.0, 50.0, 50.0, 50.0)]
    cases = [
        # Fifteen points exactly.
        Case({5: (5, -15.0, 6)}, scores=in_order(80.1, 80.1, 80.1, 65.1, 65.1, 65.1)),
        Case({}, scores=in_order(80.1, 80.1, 80.1, 65.1, 65.1, 65.2)),
        # Two before the last three are too few.
        Case({}, scores=in_order(90, 90, 10, 10, 10)),
        Case({5: (5, -70.0, 6)}, scores=in_order(90, 60, 90, 10, 10, 10)),
        Case(
            {5: (5, -80.0, 6), 6: (5, -100 / 3, 7)},
            scores=in_order(90, 90, 90, 10, 10, 10, 90),
        ),
        # Those with the greatest ids are the last of a day.
        Case({0: (0, -40.0, 6)}, scores=one_day),
        Case({}, scores=one_day[::-1]),
    ]
    check(spark, "falling_scores", cases)


def test_student_risks__a_gap_of_more_than_ninety_days_breaks_a_run(spark: SparkSession) -> None:
    absent = [(0, False), (90, False), (181, False)]
    case = Case({0: (0, 0.0, 1), 90: (0, 0.0, 1), 181: (181, 0.0, 1)}, absent)
    check(spark, "low_attendance", [case], RiskRules(attendance_days=1))


def test_student_risks__tells_its_thresholds(spark: SparkSession) -> None:
    rules = RiskRules(attendance_below=0.9, absences_in_a_row=2, score_below=60.0, score_drop=10.0)
    case = Case({}, attended("AAAAA"), in_order(90, 90, 90, 20, 20, 20))
    rows = dicts(student_risks(days_of(spark, [case]), rules))
    assert {row["rule"]: row["threshold"] for row in rows} == {
        "low_attendance": 0.9, "absent_in_a_row": 2.0, "low_scores": 60.0, "falling_scores": -10.0
    }  # fmt: skip


def test_student_risks__goes_on_where_rows_are_known(spark: SparkSession) -> None:
    """From any day on, with what the rows before say, the rows are those of a full run."""
    cuts = range(1, 9)
    facts = days_of(spark, [Case({}, attended("AAAPAA.AA"))] * len(cuts))
    rules = RiskRules(attendance_days=2)
    whole = dicts(student_risks(facts, rules), "student_hash", "as_of_date", "rule")
    judged, expected = [], []
    for number, cut in enumerate(cuts):
        theirs = [row for row in whole if row["student_hash"] == f"s{number}"]
        before = [row for row in theirs if row["as_of_date"] < day(cut)]
        newest = max((row["as_of_date"] for row in before), default=None)
        runs = {row["rule"]: row["since"] for row in before if row["as_of_date"] == newest}
        judged.append((f"s{number}", day(cut), newest, runs or None))
        expected += [row for row in theirs if row["as_of_date"] >= day(cut)]
    known = spark.createDataFrame(
        judged, "student_hash string, since date, carried_day date, carried map<string, date>"
    )
    found = dicts(student_risks(facts, rules, known), "student_hash", "as_of_date", "rule")
    assert found == expected
