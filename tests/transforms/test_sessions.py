"""One row per session."""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime, timedelta

from pyspark.sql import SparkSession

from lake.transforms.sessions import sessions_of
from schemas.tables import TABLES
from tests.transforms.frames import NOON, dicts, events, us

SECOND = timedelta(seconds=1)


def test_sessions_of__counts_lengths_and_days(spark: SparkSession) -> None:
    late = datetime(2024, 2, 29, 23, 59, 59, 999_999, tzinfo=UTC)
    frame = events(
        spark,
        [
            {"ts": NOON},
            {"ts": late, "session_start": late},
            {"ts": late + SECOND / 4, "session_start": late},
            {"ts": late + 1_700 * SECOND, "session_start": late},
            {"ts": NOON, "student_hash": "s2"},
        ],
    )
    rows = dicts(sessions_of(frame), "student_hash", "session_start")
    assert list(rows[0]) == list(TABLES["silver.sessions"].column_names)
    assert [
        (r["student_hash"], r["date"], r["events_count"], r["session_duration_seconds"])
        for r in rows
    ] == [
        ("s1", date(2024, 2, 29), 1, 0.0),
        ("s1", date(2024, 2, 29), 3, 1_700.0),
        ("s2", date(2024, 2, 29), 1, 0.0),
    ]
    assert rows[1]["session_id"] == hashlib.sha256(f"s1{us(late)}".encode()).hexdigest()[:32]
    assert us(rows[1]["session_end"].astimezone(UTC)) == us(late + 1_700 * SECOND)


def test_sessions_of__device_is_the_earliest_known_one(spark: SparkSession) -> None:
    sessions: dict[str, list[str | tuple[str, int]]] = {
        "unknown only": ["unknown", "unknown"],
        "first known": ["unknown", "tablet", "desktop"],
        "tie is not by arrival": [("mobile", 0), ("desktop", 0)],
        "tie of the last ones": [("bot", 0), ("tablet", 0)],
        "tie with unknown": [("unknown", 0), ("bot", 0)],
        "before 1970": ["unknown", "mobile"],
    }
    rows = []
    for name, devices in sessions.items():
        start = NOON - 60 * 366 * timedelta(days=1) if name == "before 1970" else NOON
        for number, given in enumerate(devices):
            device, at = (given, number) if isinstance(given, str) else given
            rows.append({"student_hash": name, "ts": start + at * SECOND,
                         "session_start": start, "device_type": device})  # fmt: skip
    found = {r["student_hash"]: r for r in dicts(sessions_of(events(spark, rows)))}
    assert {name: row["device_type"] for name, row in found.items()} == {
        "unknown only": "unknown",
        "first known": "tablet",
        "tie is not by arrival": "desktop",
        "tie of the last ones": "tablet",
        "tie with unknown": "bot",
        "before 1970": "mobile",
    }
    assert {name for name, row in found.items() if row["is_mobile"]} == {
        "first known",
        "tie of the last ones",
        "before 1970",
    }
