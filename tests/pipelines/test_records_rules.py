"""Which record is in force, and a student's history: against plain Python, on drawn cases.

A Spark job costs a second, so that hundreds of drawn students and keys share one frame.
LMSLAKE_TEST_SEED draws others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import strategies as st
from pyspark.sql import DataFrame, SparkSession

from lake.pipelines.records.history import (
    HISTORY,
    history_changes,
    student_history,
    with_register,
)
from lake.pipelines.records.versions import Order, changed, counts, ranked
from tests.generators import sample
from tests.pipelines.records_world import SEED

STUDENTS = 300
FIRST = datetime(2025, 1, 1, tzinfo=UTC)
LAST_DAY = 12
VERSION = (
    "student_hash string, updated_at timestamp, class_id string, grade_level int, "
    "enrollment_status string"
)
State = tuple[str, int, str]
# Instant → what the register says from then on.
Versions = dict[datetime, State]


# Midnight and its neighbours: many lie on the edge of a day. Few values: many agree.
instants = st.builds(
    lambda day, shift: FIRST + timedelta(days=day, microseconds=shift),
    st.integers(0, LAST_DAY - 2),
    st.sampled_from([-1, 0, 1, 43_200_000_000]),
)
states = st.tuples(st.sampled_from("AB"), st.sampled_from([8, 9]), st.sampled_from("xy"))
registers = st.dictionaries(instants, states, min_size=1, max_size=6)


def history_of(versions: Versions) -> list[tuple[datetime, datetime | None, State]]:
    """Half-open ranges; equal neighbours are one."""
    begins: list[tuple[datetime, State]] = []
    for at, state in sorted(versions.items()):
        if not begins or begins[-1][1] != state:
            begins.append((at, state))
    ends = [at for at, _ in begins[1:]]
    return [(at, end, state) for (at, state), end in zip(begins, [*ends, None], strict=True)]


def state_on(versions: Versions, day: date) -> State:
    """At the end of the UTC day; before the first version what that one says."""
    end = datetime.combine(day + timedelta(days=1), datetime.min.time(), UTC)
    begun = [at for at in versions if at < end]
    return versions[max(begun)] if begun else versions[min(versions)]


def frame_of(spark: SparkSession, students: Mapping[int, Versions]) -> DataFrame:
    rows = [
        (str(n), at, *state) for n, versions in students.items() for at, state in versions.items()
    ]
    return spark.createDataFrame(rows, VERSION)


@pytest.fixture(scope="module")
def drawn() -> dict[int, Versions]:
    return dict(enumerate(sample(registers, STUDENTS, SEED)))


def test_student_history__is_what_plain_python_says(
    spark: SparkSession, drawn: dict[int, Versions]
) -> None:
    found: dict[int, list[Any]] = {}
    for row in student_history(frame_of(spark, drawn)).orderBy("valid_from").collect():
        assert row.is_current == (row.valid_to is None)
        state = tuple(row[name] for name in HISTORY)
        valid_to = row.valid_to and row.valid_to.replace(tzinfo=UTC)
        found.setdefault(int(row.student_hash), []).append(
            (row.valid_from.replace(tzinfo=UTC), valid_to, state)
        )
    assert found == {number: history_of(versions) for number, versions in drawn.items()}


def register_of(
    spark: SparkSession, students: Mapping[int, Versions], days: Iterable[date]
) -> dict[tuple[int, date], State]:
    facts = [(str(number), day) for number in students for day in days]
    frame = spark.createDataFrame(facts, "student_hash string, day date")
    told = with_register(frame, student_history(frame_of(spark, students)), "day", HISTORY)
    return {
        (int(row.student_hash), row.day): tuple(row[name] for name in HISTORY)
        for row in told.collect()
    }


def test_with_register__is_what_plain_python_says(
    spark: SparkSession, drawn: dict[int, Versions]
) -> None:
    days = [(FIRST + timedelta(days=n)).date() for n in range(-3, LAST_DAY)]
    assert register_of(spark, drawn, days) == {
        (number, day): state_on(versions, day) for number, versions in drawn.items() for day in days
    }


def test_history_changes__name_the_first_day_that_the_register_tells_otherwise(
    spark: SparkSession, drawn: dict[int, Versions]
) -> None:
    """Every day told otherwise lies behind the first change, or that one is the first range."""
    # More versions arrive of most students; every seventh is somebody new.
    later = dict(enumerate(sample(registers, STUDENTS, SEED + 1)))
    old = {number: versions for number, versions in drawn.items() if number % 7}
    both = {n: {**old.get(n, {}), **(later[n] if n % 3 else old.get(n, later[n]))} for n in drawn}
    changes = history_changes(
        student_history(frame_of(spark, both)), student_history(frame_of(spark, old))
    )
    since: dict[int, tuple[date, bool, bool]] = {}
    for row in changes.orderBy("valid_from", "is_first").collect():
        number, at = int(row.student_hash), row.valid_from.date()
        day, is_known, is_first = since.get(number, (at, row.is_known, False))
        since[number] = (min(day, at), is_known, is_first or row.is_first)
    days = [(FIRST + timedelta(days=n)).date() for n in range(-3, LAST_DAY)]
    for number, versions in both.items():
        if number not in old:
            assert since[number][1] is False
            continue
        differs = [d for d in days if state_on(versions, d) != state_on(old[number], d)]
        if history_of(versions) == history_of(old[number]):
            assert number not in since
            continue
        first, is_known, is_first = since[number]
        assert is_known
        assert is_first or all(day >= first for day in differs), (old[number], versions)


RECORD = (
    "key string, version int, _digest string, tie int, quality_flags array<string>, "
    "_content_hash string, _row int, batch int"
)
CONTENT = ("key", "version", "_digest", "tie", "quality_flags")
SAID = ("key", "version", "_digest", "tie")
POINTER = ("_content_hash", "_row")
records = st.tuples(
    st.none() | st.integers(0, 2),
    st.sampled_from("abc"),
    st.none() | st.integers(0, 1),
    st.lists(st.sampled_from(["p", "q"]), unique=True, max_size=2).map(sorted),
)
keys_of_records = st.lists(st.tuples(records, st.integers(0, 2)), min_size=1, max_size=8)
ORDERS = {
    "first to come": Order(("key",), ("version",), ("tie",)),
    "first in the files": Order(("key",), ("version",), ("tie",), by_pointer=True),
}
Record = dict[str, Any]


def drawn_records() -> list[Record]:
    rows = []
    for key, items in enumerate(sample(keys_of_records, STUDENTS, SEED + 2)):
        for row, ((version, digest, tie, flags), batch) in enumerate(items):
            rows.append({
                "key": str(key), "version": version, "_digest": digest, "tie": tie,
                "quality_flags": flags, "_content_hash": f"f{batch}{row % 2}", "_row": row,
                "batch": batch,
            })  # fmt: skip
    return rows


def precedence(row: Record, by_pointer: bool) -> tuple[Any, ...]:
    """The greatest is in force; a row without a version is below all others."""

    def rank(value: int | None) -> int:
        return -1 if value is None else value

    flags = row["quality_flags"]
    # Fewer doubts first, then those that come first in the alphabet.
    doubts = (-len(flags), tuple(-ord(letter) for letter in ",".join(flags)))
    place = (row["_content_hash"], row["_row"])
    pointer = tuple(-ord(letter) for letter in f"{place[0]}{place[1]:03d}") if by_pointer else ()
    return (rank(row["version"]), row["_digest"], rank(row["tie"]), doubts, pointer)


def in_force(
    spark: SparkSession, batches: Sequence[Sequence[Record]], order: Order
) -> tuple[dict[str, Record], tuple[int, ...]]:
    """What is in force after the batches, one after the other, and the sums of their counts."""
    table: dict[str, Record] = {}
    total = (0, 0, 0, 0)
    for batch in batches:
        new = spark.createDataFrame([tuple(row.values()) for row in batch], RECORD)
        theirs = [tuple(table[key].values()) for key in {row["key"] for row in batch} & set(table)]
        rows = ranked(new, spark.createDataFrame(theirs, RECORD), order)
        total = tuple(a + b for a, b in zip(total, rows.agg(*counts()).collect()[0], strict=True))
        for row in changed(rows).select(*new.columns).collect():
            table[row.key] = row.asDict()
    return table, total


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_ranked__the_same_is_in_force_however_the_rows_come(
    spark: SparkSession, order: Order
) -> None:
    rows = drawn_records()
    expected: dict[str, Record] = {}
    for row in rows:
        best = expected.get(row["key"])
        if best is None or precedence(row, order.by_pointer) > precedence(best, order.by_pointer):
            expected[row["key"]] = row
    at_once, (taken, superseded, conflicting, duplicates) = in_force(spark, [rows], order)
    parts = [[row for row in rows if row["batch"] == number] for number in (2, 0, 1)]
    in_parts, counted = in_force(spark, parts, order)
    compared = (*CONTENT, *POINTER) if order.by_pointer else CONTENT
    for found in (at_once, in_parts):
        assert {k: [r[n] for n in compared] for k, r in found.items()} == {
            k: [r[n] for n in compared] for k, r in expected.items()
        }
    said = {tuple(row[name] for name in SAID) for row in rows}
    contradicting = {
        row for row in said if row[1] == expected[row[0]]["version"]
    } - {tuple(row[name] for name in SAID) for row in expected.values()}  # fmt: skip
    assert taken == len(expected)
    assert conflicting == len(contradicting)
    assert superseded == len(said) - len(expected) - len(contradicting)
    assert duplicates == len(rows) - len(said)
    assert sum(counted) == len(rows)
