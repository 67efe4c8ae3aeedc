"""Rows whose key comes twice stop at the gate, whoever would write them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lake import limits
from lake.gates import Gate, GateFailed
from lake.pipelines.publication import publish_rows
from schemas.derivations import arrow_schema
from schemas.tables import TABLES
from tests.pipelines.conftest import OpenLake

DAY = date(2025, 11, 17)
AT = datetime(2025, 11, 17, 8, tzinfo=UTC)
# A table of days, and one that is replaced whole.
ROWS: dict[str, dict[str, Any]] = {
    "silver.fact_attendance": {"attendance_id": "A1", "attendance_date": DAY, "created_at": AT},
    "silver.student_versions": {"updated_at": AT, "enrollment_status": "active", "grade_level": 9},
}


@pytest.mark.parametrize("limit", [0, limits.COLLECTED_ROWS], ids=["much", "little"])
@pytest.mark.parametrize("name", ROWS)
def test_publish_rows__a_key_that_comes_twice_stops_the_table(
    name: str, limit: int, opened: OpenLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "COLLECTED_ROWS", limit)
    lake, table = opened(tmp_path), TABLES[name]
    schema = arrow_schema(table)
    row: dict[str, Any] = {f.name: "" if f.type == pa.string() else 0 for f in schema}
    row |= {"student_hash": "0" * 64, "is_present": True, "quality_flags": []} | ROWS[name]
    once = pa.Table.from_pylist([row], schema)
    days = [DAY] if table.partition_by else None
    with Gate(lake.store, "a build") as gate:
        publish_rows(lake, gate, name, lake.spark.createDataFrame(once), 1, days)
        assert lake.tables.row_count(name) == 1
        (seen,) = (
            verdict
            for result, _ in gate._pending
            for verdict in result.verdicts
            if verdict.expectation.rule == "unique"
        )
        assert seen.success
        twice = lake.spark.createDataFrame(pa.concat_tables([once, once]))
        with pytest.raises(GateFailed, match=rf"{name}[\s\S]+unique\([^)]+\): observed 1"):
            publish_rows(lake, gate, name, twice, 2, days)
    assert lake.tables.row_count(name) == 1
