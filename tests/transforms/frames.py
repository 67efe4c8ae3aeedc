"""Small tables of cases as one DataFrame, and its rows back in order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from schemas.columns import METADATA, METADATA_FIELDS

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOON = datetime(2024, 2, 29, 12, tzinfo=UTC)
METADATA_TYPE = METADATA.type
EVENT = (
    "event_id string, student_hash string, event_type string, ts timestamp, date date, "
    "session_start timestamp, course_id string, chapter_id string, question_id string, "
    f"quiz_id string, device_type string, metadata {METADATA_TYPE}, gap_before_seconds double, "
    "gap_after_seconds double, is_visit_end boolean, page_dwell_seconds double"
)


def us(moment: datetime) -> int:
    """Microseconds since 1970."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def each(
    spark: SparkSession, schema: str, cases: Sequence[tuple[Any, ...]], value: Column
) -> list[Any]:
    """The value of a column expression at every case, in their order."""
    numbered = [(number, *case) for number, case in enumerate(cases)]
    frame = spark.createDataFrame(numbered, f"case_number int, {schema}")
    rows = frame.select("case_number", value.alias("value")).collect()
    return [row.value for row in sorted(rows)]


def metadata(**given: Any) -> tuple[Any, ...]:
    """A metadata struct; what is not given is null."""
    names = [name for name, _ in METADATA_FIELDS]
    assert set(given) <= set(names), given
    return tuple(given.get(name) for name in names)


def events(spark: SparkSession, rows: Iterable[Mapping[str, Any]]) -> DataFrame:
    """Rows shaped like silver.events; by default one page view of s1 at noon in chapter k1."""
    names = [field.split()[0] for field in _fields(EVENT)]
    default = {
        "event_id": "e", "student_hash": "s1", "event_type": "page_view", "ts": NOON,
        "course_id": "c1", "chapter_id": "k1", "device_type": "unknown", "is_visit_end": False,
    }  # fmt: skip
    made = []
    for number, row in enumerate(rows):
        full = {**default, "event_id": f"e{number}", **row}
        full["metadata"] = metadata(**full.get("metadata", {}))
        full["date"] = full["ts"].date()
        full.setdefault("session_start", full["ts"])
        made.append(tuple(full.get(name) for name in names))
    return spark.createDataFrame(made, EVENT)


def _fields(schema: str) -> list[str]:
    """Top-level fields of a DDL text."""
    fields, depth = [""], 0
    for letter in schema:
        depth += (letter == "<") - (letter == ">")
        if letter == "," and depth == 0:
            fields.append("")
        else:
            fields[-1] += letter
    return [field.strip() for field in fields]


def dicts(frame: DataFrame, *order: str) -> list[dict[str, Any]]:
    """All rows as dictionaries, ordered by the given columns (nulls first)."""
    rows = [row.asDict(recursive=True) for row in frame.collect()]
    return sorted(rows, key=lambda row: [(row[name] is not None, row[name]) for name in order])
