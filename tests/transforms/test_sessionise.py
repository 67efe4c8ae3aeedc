"""Sessions by silence, and duplicates within a student."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from lake.transforms.sessionise import drop_identical_duplicates, session_id, sessionise
from tests.transforms.frames import NOON, dicts, each, us

GAP = timedelta(minutes=30)
GAP_US = 1_800_000_000
MIDNIGHT = datetime(2024, 3, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MICRO = timedelta(microseconds=1)


def placed(
    spark: SparkSession, *events: tuple[datetime, str] | tuple[datetime, str, str | None]
) -> list[dict[str, Any]]:
    """Events (ts, event_id[, chapter]) of one student after sessionise, in order."""
    rows = [("s1", us(ts), event_id, "c1", chapter[0] if chapter else "k1")
            for ts, event_id, *chapter in events]  # fmt: skip
    frame = spark.createDataFrame(
        rows,
        "student_hash string, ts_us bigint, event_id string, course_id string, chapter_id string",
    )
    return dicts(sessionise(frame, GAP), "ts_us", "event_id")


def starts(rows: list[dict[str, Any]]) -> list[int]:
    """Position of the event that opened each event's session."""
    opened = [n for n, row in enumerate(rows) if row["gap_before_us"] is None]
    return [max(o for o in opened if o <= n) for n in range(len(rows))]


def test_session_id__is_a_hash_of_student_and_start(spark: SparkSession) -> None:
    cases = [("s1", 0), ("s1", -1), ("ßtudent", 1_709_208_000_123_456)]
    found = each(spark, "s string, us bigint", cases, session_id(F.col("s"), F.col("us")))
    assert found == [hashlib.sha256(f"{s}{at}".encode()).hexdigest()[:32] for s, at in cases]


def test_sessionise__exactly_the_gap_stays_and_a_microsecond_more_opens(
    spark: SparkSession,
) -> None:
    second = NOON + GAP
    rows = placed(spark, (NOON, "a"), (second, "b"), (second + GAP + MICRO, "c"))
    assert starts(rows) == [0, 0, 2]
    assert [(r["gap_before_us"], r["gap_after_us"]) for r in rows] == [
        (None, GAP_US),
        (GAP_US, None),
        (None, None),
    ]
    for row, first in zip(rows, [0, 0, 2], strict=True):
        start = rows[first]["ts_us"]
        digest = hashlib.sha256(f"s1{start}".encode()).hexdigest()
        assert row["session_id"] == digest[:32]
        assert us(row["session_start"].astimezone(UTC)) == start


def test_sessionise__a_session_has_no_longest_length(spark: SparkSession) -> None:
    rows = placed(spark, *((NOON + n * GAP, f"e{n:03d}") for n in range(100)))
    assert starts(rows) == [0] * 100


def test_sessionise__crosses_midnight_and_the_leap_day(spark: SparkSession) -> None:
    rows = placed(spark, (MIDNIGHT, "b"), (MIDNIGHT - MICRO, "a"), (MIDNIGHT + GAP, "c"))
    assert [r["event_id"] for r in rows] == ["a", "b", "c"]
    assert starts(rows) == [0, 0, 0]
    assert len({r["session_id"] for r in rows}) == 1


def test_sessionise__ties_are_ordered_by_event_id(spark: SparkSession) -> None:
    # By UTF-8 bytes: U+FFEE comes before U+1F600, which UTF-16 would put first.
    ids = ["E", "e", "\uffee", "\U0001f600"]
    rows = placed(spark, *((NOON, i, f"k{n}") for n, i in reversed(list(enumerate(ids)))))
    before = {r["event_id"]: r["gap_before_us"] for r in rows}
    after = {r["event_id"]: r["gap_after_us"] for r in rows}
    assert before == {"E": None, "e": 0, "\uffee": 0, "\U0001f600": 0}
    assert after == {"E": 0, "e": 0, "\uffee": 0, "\U0001f600": None}


def test_sessionise__a_visit_ends_where_the_chapter_changes_or_the_session_ends(
    spark: SparkSession,
) -> None:
    rows = placed(
        spark,
        (NOON, "a", "k1"),
        (NOON + SECOND, "b", "k1"),
        (NOON + 2 * SECOND, "c", None),
        (NOON + 3 * SECOND, "d", "k1"),
        (NOON + 3 * SECOND + GAP + MICRO, "e", "k1"),
        (NOON + 4 * SECOND + GAP + MICRO, "f", None),
    )
    assert [r["is_visit_end"] for r in rows] == [False, True, None, True, True, None]


def test_sessionise__the_same_chapter_of_another_course_is_another_place(
    spark: SparkSession,
) -> None:
    rows = [("s1", n, f"e{n}", course, "k1") for n, course in enumerate([None, "c1", None, None])]
    frame = spark.createDataFrame(
        rows,
        "student_hash string, ts_us bigint, event_id string, course_id string, chapter_id string",
    )
    found = dicts(sessionise(frame, GAP), "ts_us")
    assert [r["is_visit_end"] for r in found] == [True, True, False, True]


def test_drop_identical_duplicates__keeps_the_row_that_silver_has(spark: SparkSession) -> None:
    rows = [
        ("s1", 1, "a", "body", True, "new"),
        ("s1", 1, "a", "body", False, "old"),
        ("s1", 1, "a", "body", True, "new again"),
        ("s1", 1, "a", "other body", True, "another body"),
        ("s1", 1, "b", "body", True, "another event"),
        ("s1", 2, "a", "body", True, "another time"),
        ("s2", 1, "a", "body", True, "another student"),
    ]
    frame = spark.createDataFrame(
        rows,
        "student_hash string, ts_us bigint, event_id string, _body_hash string, is_new boolean, "
        "name string",
    )
    kept = [row.name for row in drop_identical_duplicates(frame).collect()]
    assert sorted(kept) == [
        "another body", "another event", "another student", "another time", "old",
    ]  # fmt: skip
