"""Rules that say when a student needs a look: on which days they fired, and since when."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.window import WindowSpec

from lake.transforms.records.daily import NEWEST_SCORES, percent, share
from schemas.tables.records_gold import RISK_RULES, SCORE_UNITS

ATTENDANCE_DAYS = 30
LOOK_BACK_DAYS = 90
# More days than this without a judged one break a run.
LONGEST_GAP_DAYS = 90
# Days before a judged one on which its rows depend: the day before the gap is one of them.
HORIZON_DAYS = max(LOOK_BACK_DAYS, LONGEST_GAP_DAYS)
OLDER_SCORES = 3


@dataclass(frozen=True)
class RiskRules:
    """From when on a student is at risk.

    attendance_below: a smaller share of the days with attendance of 30 days fires low_attendance,
    where they are at least attendance_days. absences_in_a_row: so many newest ones fire
    absent_in_a_row. score_below: a smaller mean (per cent) of 90 days fires low_scores, of at least
    so many assessments. score_drop: the last three so many points below the mean of those before
    fire falling_scores.
    """

    attendance_below: float = 0.8
    attendance_days: int = 5
    absences_in_a_row: int = 3
    score_below: float = 50.0
    assessments: int = 3
    score_drop: float = 15.0


def student_risks(
    days: DataFrame, rules: RiskRules, judged_from: DataFrame | None = None
) -> DataFrame:
    """gold.student_risk_monitor: a row for each rule that fired on a day of a student.

    days: `student_days` of the students, all of them. judged_from: the students with `since`, the
    first day of which rows are wanted; of the HORIZON_DAYS before it the days must be given, and
    `carried_day` and `carried` tell what is known of the run that goes on: the day and the map
    rule → since of the newest rows before `since` (null where there is none). Without
    judged_from all days of the students are given and rows of all are wanted.
    """
    if judged_from is None:
        nothing = {
            "since": F.lit(None).cast("date"),
            "carried_day": F.lit(None).cast("date"),
            "carried": F.lit(None).cast("map<string, date>"),
        }
        wanted = days.withColumns(nothing)
    else:
        wanted = days.join(F.broadcast(judged_from), "student_hash")
    measured = _measured(wanted)
    verdicts = dict(zip(RISK_RULES, _verdicts(rules), strict=True))
    judged = measured.withColumns(verdicts)
    is_wanted = F.col("since").isNull() | (F.col("date") >= F.col("since"))
    fired = _with_runs(judged, is_wanted).where(is_wanted)
    told = F.array(
        *(
            F.struct(
                F.lit(name).alias("rule"),
                F.col(f"{name}_since").alias("since"),
                *(F.col(name)[part].alias(part) for part in ("value", "threshold", "observations")),
            )
            for name in RISK_RULES
        )
    )
    each = fired.select("date", "student_hash", "class_id", F.inline(told))
    return each.where(F.col("since").isNotNull()).select(
        F.col("date").alias("as_of_date"),
        "student_hash",
        "rule",
        "class_id",
        "since",
        "value",
        "threshold",
        "observations",
    )


def _in_time() -> WindowSpec:
    return Window.partitionBy("student_hash").orderBy("day")


def _until(value: Column, days_before: int = 0) -> Column:
    """Sum of a column over the student's days up to so many before the row's."""
    # Frames that only grow are summed in one go; sliding ones would sum each window anew.
    frame = _in_time().rangeBetween(Window.unboundedPreceding, -days_before)
    return F.coalesce(F.sum(value).over(frame), F.lit(0))


def _within(value: Column, length: int) -> Column:
    """Sum of a column over the `length` calendar days that end with the row's."""
    return _until(value) - _until(value, length)


def _measured(days: DataFrame) -> DataFrame:
    """Adds the sums that the rules look at; `day` is the date as a number."""
    has_record = F.col("is_present").isNotNull().cast("bigint")
    was_there = F.coalesce(F.col("is_present"), F.lit(False)).cast("bigint")
    growing = _in_time().rowsBetween(Window.unboundedPreceding, 0)
    summed = days.withColumn("day", F.unix_date("date")).withColumns(
        {
            "recorded": _until(has_record),
            "recorded_30d": _within(has_record, ATTENDANCE_DAYS),
            "present_30d": _within(was_there, ATTENDANCE_DAYS),
            "recorded_90d": _within(has_record, LOOK_BACK_DAYS),
            "assessments_90d": _within(F.col("assessments"), LOOK_BACK_DAYS),
            "score_sum_90d": _within(F.col("score_sum"), LOOK_BACK_DAYS),
            "last_units": F.last("last_units", ignorenulls=True).over(growing),
        }
    )
    at_last_presence = F.max(F.when(F.col("is_present"), F.col("recorded"))).over(growing)
    absences = F.col("recorded") - F.coalesce(at_last_presence, F.lit(0))
    # Of a longer row those that lie in the window.
    return summed.withColumn("absences", F.least(absences, F.col("recorded_90d")))


def _verdicts(rules: RiskRules) -> tuple[Column, ...]:
    """Of each of RISK_RULES: struct of fires, value, threshold and observations."""
    recorded, count, total = (
        F.col(name) for name in ("recorded_30d", "assessments_90d", "score_sum_90d")
    )
    attended = share(F.col("present_30d"), recorded)
    absences, mean = F.col("absences"), percent(total, count)
    older = count - F.lit(NEWEST_SCORES)
    # One division at the end: the difference of two rounded means could miss the threshold.
    fall = F.col("last_units") * older - (total - F.col("last_units")) * F.lit(NEWEST_SCORES)
    parts = older * F.lit(NEWEST_SCORES * SCORE_UNITS)
    change = F.when(older >= OLDER_SCORES, fall / parts)
    has_days, has_scores = recorded >= rules.attendance_days, count >= rules.assessments
    return (
        _verdict(has_days & (attended < rules.attendance_below), attended,
                 rules.attendance_below, recorded),
        _verdict(absences >= rules.absences_in_a_row, absences,
                 rules.absences_in_a_row, absences),
        _verdict(has_scores & (mean < rules.score_below), mean, rules.score_below, count),
        _verdict(change <= -rules.score_drop, change, -rules.score_drop, count),
    )  # fmt: skip


def _verdict(fires: Column, value: Column, threshold: float, observations: Column) -> Column:
    return F.struct(
        F.coalesce(fires, F.lit(False)).alias("fires"),
        value.cast("double").alias("value"),
        F.lit(float(threshold)).alias("threshold"),
        observations.alias("observations"),
    )


def _with_runs(judged: DataFrame, is_wanted: Column) -> DataFrame:
    """Adds per rule `…_since`, null on days on which it does not fire."""
    day_before = F.lag("date").over(_in_time())
    gap = F.date_diff("date", F.col("day_before"))
    placed = judged.withColumn("day_before", day_before).withColumns(
        {
            "is_connected": F.coalesce(gap <= LONGEST_GAP_DAYS, F.lit(False)),
            # On the first wanted day the days before tell nothing: their own windows are cut.
            "is_first": F.coalesce(F.col("day_before") < F.col("since"), F.lit(False)),
        }
    )
    has_carried = F.col("is_first") & (F.col("carried_day") == F.col("day_before"))
    begun = {f"{name}_begun": _begun(name, is_wanted, has_carried) for name in RISK_RULES}
    growing = _in_time().rowsBetween(Window.unboundedPreceding, 0)
    return placed.withColumns(begun).withColumns(
        {
            f"{name}_since": F.when(
                F.col(name)["fires"], F.last(f"{name}_begun", ignorenulls=True).over(growing)
            )
            for name in RISK_RULES
        }
    )


def _begun(name: str, is_wanted: Column, has_carried: Column) -> Column:
    """First day of the run where it begins, or is taken over from what is known; else null."""
    fires = F.col(name)["fires"]
    carried = F.when(has_carried & F.col("is_connected"), F.col("carried")[name])
    fired_before = F.lag(fires).over(_in_time()) & F.col("is_connected")
    goes_on = F.coalesce(F.when(~F.col("is_first"), fired_before), F.lit(False))
    own = F.when(~goes_on, F.coalesce(carried, F.col("date")))
    return F.when(fires & is_wanted, own)
