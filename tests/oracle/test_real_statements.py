"""The oracle on 22,000 real statements of the xAPI video profile: the figures are known."""

from __future__ import annotations

import gzip
from pathlib import Path

import orjson
import pytest

from lake.xapi import native_event
from tests.generators import canonical
from tests.oracle import Row, Rules, recompute


@pytest.fixture(scope="module")
def tables(xapi_statements: Path) -> dict[str, list[Row]]:
    with gzip.open(xapi_statements) as statements:
        lines = [canonical(native_event(orjson.loads(line))) for line in statements]
    return recompute(lines, Rules(key=b"a key of sixteen bytes"))


def test_real_statements__events_students_and_days(tables: dict[str, list[Row]]) -> None:
    events, daily = tables["silver.events"], tables["gold.student_daily_activity"]
    assert (len(events), len(tables["silver.quarantine"])) == (22_000, 0)
    assert len({row["student_hash"] for row in events}) == 1_452
    assert len({row["date"] for row in events}) == 8
    assert len(daily) == 6_345
    assert sum(row["events_count"] for row in daily) == 22_000


def test_real_statements__sessions(tables: dict[str, list[Row]]) -> None:
    sessions = tables["silver.sessions"]
    lengths = [round(row["session_duration_seconds"] * 1_000_000) for row in sessions]
    assert len(sessions) == 8_027
    assert sum(lengths) == 5_265_984_914_645
    assert max(lengths) == 14_727_534_306
    assert sum(row["events_count"] == 1 for row in sessions) == 3_806


def test_real_statements__time_of_the_days_is_that_of_the_sessions(
    tables: dict[str, list[Row]],
) -> None:
    daily = tables["gold.student_daily_activity"]
    spent = sum(round(row["total_time_spent_seconds"] * 1_000_000) for row in daily)
    assert spent == 5_265_984_914_645
