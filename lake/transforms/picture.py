"""gold.student_360: a student's behaviour beside school records, as of the ends of days.

Pure functions of frames. Nothing dated after an as_of_date enters its rows: what is of a day `d`
is spread over the as_of_dates from d on, and every column follows from rows of its own as_of_date.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from lake.transforms.features import student_features
from lake.transforms.metrics import whole
from lake.transforms.records.daily import NEWEST_SCORES, UNITS_OF_SHARE
from lake.transforms.records.risk import OLDER_SCORES
from lake.transforms.sessionise import MICROS
from schemas.tables.records_gold import SCORE_UNITS

SHORT_DAYS = 30
# Facts of so many days are looked at; nobody who has none of them is judged.
LONG_DAYS = 90
PICTURE = ("student_hash", "as_of_date")


@dataclass(frozen=True)
class Sources:
    """Frames that pictures are made of, with the columns of their tables; empty where no table is.

    activity: gold.student_daily_activity of the HORIZON_DAYS before each as_of_date and of that
    itself. attendance, assessments: facts of the LONG_DAYS that end with each as_of_date. risks:
    gold.student_risk_monitor of the same days. The others are whole tables of silver, of enrolments
    and progress those of versions. Further rows do no harm.
    """

    students: DataFrame
    activity: DataFrame
    attendance: DataFrame
    assessments: DataFrame
    enrollments: DataFrame
    progress: DataFrame
    tickets: DataFrame
    risks: DataFrame


def student_pictures(
    sources: Sources, dates: Sequence[date], behaviour_since: date | None
) -> DataFrame:
    """gold.student_360 of the as_of dates, without lineage.

    behaviour_since: the first day of the lake with an event; None where there is none.
    """
    register = _in_register(sources.students, dates)
    features = student_features(sources.activity, dates, max(dates))
    everybody = register.select(*PICTURE).unionByName(features.select(*PICTURE)).distinct()
    attendance = _attendance(sources.attendance, dates)
    scores = _scores(sources.assessments, dates)
    pictures = everybody
    for part in (
        register,
        features,
        _behaviour(sources.activity, dates),
        attendance,
        scores,
        _courses(sources.enrollments, dates),
        _lessons(sources.progress, dates),
        _tickets(sources.tickets, dates),
    ):
        pictures = pictures.join(part, list(PICTURE), "left")
    judged = pictures.withColumn("judged_day", F.greatest("last_attendance", "last_assessment"))
    return _with_zeros(_with_risks(judged, sources.risks), behaviour_since)


def at_dates(
    rows: DataFrame, first: Column, last: Column | None, dates: Sequence[date]
) -> DataFrame:
    """A copy of each row, with as_of_date, for each of the dates from first to last, both included.

    last None: for ever. Where last is null the row counts for ever, too.
    """
    every = F.array(*(F.lit(day) for day in sorted(dates)))
    until = F.lit(max(dates)) if last is None else F.coalesce(last, F.lit(max(dates)))
    chosen = F.filter(every, lambda day: (day >= first) & (day <= until))
    return rows.withColumn("as_of_date", F.explode(chosen))


def _in_register(students: DataFrame, dates: Sequence[date]) -> DataFrame:
    """What is in force at the end of each day: of ranges within one day none is."""
    last = F.date_sub(F.to_date("valid_to"), 1)
    return at_dates(students, F.to_date("valid_from"), last, dates).select(
        *PICTURE, "class_id", "grade_level", "enrollment_status"
    )


def _behaviour(activity: DataFrame, dates: Sequence[date]) -> DataFrame:
    time_us = whole(F.col("total_time_spent_seconds"), MICROS)
    carried_us = whole(F.col("carried_over_seconds"), MICROS)
    known_us = time_us - F.when(F.col("date") == F.col("as_of_date"), carried_us).otherwise(0)
    spread = at_dates(activity, F.col("date"), F.date_add("date", SHORT_DAYS - 1), dates)
    return spread.groupBy(*PICTURE).agg(
        F.sum("total_sessions").alias("sessions_30d"),
        (F.sum(known_us) / MICROS).alias("time_spent_30d_seconds"),
    )


def _attendance(attendance: DataFrame, dates: Sequence[date]) -> DataFrame:
    """Also last_attendance: the newest day with a record."""
    day = F.col("attendance_date")
    of_days = attendance.groupBy("student_hash", "attendance_date").agg(
        F.max("is_present").alias("is_present")
    )
    spread = at_dates(of_days, day, F.date_add(day, LONG_DAYS - 1), dates)
    is_recent = day > F.date_sub("as_of_date", SHORT_DAYS)
    days = F.count_if(is_recent)
    present = F.count_if(is_recent & F.col("is_present"))
    return spread.groupBy(*PICTURE).agg(
        days.alias("attendance_days_30d"),
        F.when(days > 0, present / days).alias("attendance_rate_30d"),
        F.max(F.when(~F.col("is_present"), day)).alias("last_absence_date"),
        F.max(day).alias("last_attendance"),
    )


def _scores(assessments: DataFrame, dates: Sequence[date]) -> DataFrame:
    """Also last_assessment: the newest day with one."""
    day = F.col("assessment_date")
    units = assessments.select(
        "student_hash",
        "assessment_date",
        "assessment_id",
        whole(F.col("score_pct"), UNITS_OF_SHARE).alias("units"),
    )
    spread = at_dates(units, day, F.date_add(day, LONG_DAYS - 1), dates)
    newest_first = Window.partitionBy(*PICTURE).orderBy(
        F.desc("assessment_date"), F.desc("assessment_id")
    )
    is_last = F.row_number().over(newest_first) <= NEWEST_SCORES
    ranked = spread.withColumn("is_last", is_last)
    count, before = F.count(F.lit(1)), F.count_if(~F.col("is_last"))
    last_sum, sum_before = (
        F.sum(F.when(chosen, F.col("units"))) for chosen in (F.col("is_last"), ~F.col("is_last"))
    )
    change = last_sum / NEWEST_SCORES / SCORE_UNITS - sum_before / before / SCORE_UNITS
    return ranked.groupBy(*PICTURE).agg(
        count.alias("assessments_90d"),
        (F.sum("units") / count / SCORE_UNITS).alias("avg_score_90d"),
        (F.min("units") / SCORE_UNITS).alias("min_score_90d"),
        F.when(before >= OLDER_SCORES, change).alias("score_change_90d"),
        F.max(day).alias("last_assessment"),
    )


def _courses(enrollments: DataFrame, dates: Sequence[date]) -> DataFrame:
    """Each course from its first enrolment on."""
    enrolled = F.min("enrollment_date").alias("enrolled")
    courses = enrollments.groupBy("student_hash", "course_id").agg(enrolled)
    spread = at_dates(courses, F.col("enrolled"), None, dates)
    return spread.groupBy(*PICTURE).agg(F.count(F.lit(1)).alias("courses_enrolled"))


def _lessons(progress: DataFrame, dates: Sequence[date]) -> DataFrame:
    """Of each lesson what its newest version up to the day says."""
    of_lesson = Window.partitionBy("student_hash", "course_id", "lesson_id")
    newer = F.lead("last_activity_at").over(of_lesson.orderBy("last_activity_at"))
    versions = progress.withColumn("last", F.date_sub(F.to_date(newer), 1))
    count = F.count(F.lit(1))
    units = F.sum(whole(F.col("completion_pct"), UNITS_OF_SHARE))
    spread = at_dates(versions, F.to_date("last_activity_at"), F.col("last"), dates)
    return spread.groupBy(*PICTURE).agg(
        count.alias("lessons_touched"), (units / count / UNITS_OF_SHARE).alias("avg_completion_pct")
    )


def _tickets(tickets: DataFrame, dates: Sequence[date]) -> DataFrame:
    as_of = F.col("as_of_date")
    closed = F.to_date("closed_at")
    spread = at_dates(tickets, F.col("opened_date"), None, dates)
    return spread.groupBy(*PICTURE).agg(
        F.count_if(F.col("opened_date") > F.date_sub(as_of, LONG_DAYS)).alias("tickets_opened_90d"),
        F.count_if(closed.isNull() | (closed > as_of)).alias("tickets_open"),
    )


def _with_risks(pictures: DataFrame, risks: DataFrame) -> DataFrame:
    """Adds risk_rules and risk_since. In: judged_day, the newest day with a fact."""
    fired = risks.groupBy("student_hash", F.col("as_of_date").alias("judged_day")).agg(
        F.sort_array(F.collect_set("rule")).alias("fired"), F.min("since").alias("risk_since")
    )
    joined = pictures.join(fired, ["student_hash", "judged_day"], "left")
    none = F.array().cast("array<string>")
    rules = F.when(F.col("judged_day").isNotNull(), F.coalesce("fired", none))
    return joined.withColumn("risk_rules", rules)


def _with_zeros(pictures: DataFrame, behaviour_since: date | None) -> DataFrame:
    """A count of nothing is 0 where somebody would have told, else null."""
    is_told = F.lit(False)
    if behaviour_since is not None:
        is_told = F.col("as_of_date") >= F.lit(behaviour_since)
    is_registered = F.col("enrollment_status").isNotNull()
    of_behaviour = ("sessions_30d", "time_spent_30d_seconds")
    of_records = (
        "attendance_days_30d", "assessments_90d", "courses_enrolled", "lessons_touched",
        "tickets_opened_90d", "tickets_open",
    )  # fmt: skip
    zeros = {name: F.when(is_told, F.coalesce(name, F.lit(0))) for name in of_behaviour}
    for name in of_records:
        is_known = is_registered | (F.col(name) > 0)
        zeros[name] = F.when(is_known, F.coalesce(name, F.lit(0)))
    return pictures.withColumns(zeros)
