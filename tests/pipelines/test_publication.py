"""Rows whose key comes twice stop at the gate, whoever would write them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lake import limits
from lake.delta_writing import created_table
from lake.gates import Gate, GateFailed
from lake.pipelines.publication import publish_rows
from schemas.derivations import arrow_schema
from schemas.table import NEVER
from schemas.tables import TABLES
from tests.pipelines.conftest import OpenLake

DAY = date(2025, 11, 17)
AT = datetime(2025, 11, 17, 8, tzinfo=UTC)
# A table of days, and one that is replaced whole.
ROWS: dict[str, dict[str, Any]] = {
    "silver.fact_attendance": {"attendance_id": "A1", "attendance_date": DAY, "created_at": AT},
    "silver.student_versions": {"updated_at": AT, "enrollment_status": "active", "grade_level": 9},
}


def filled(name: str, **values: Any) -> dict[str, Any]:
    schema = arrow_schema(TABLES[name])
    row: dict[str, Any] = {f.name: "" if f.type == pa.string() else 0 for f in schema}
    return row | {"student_hash": "0" * 64, "is_present": True, "quality_flags": []} | values


def attendance(**values: Any) -> dict[str, Any]:
    name = "silver.fact_attendance"
    return filled(name, **(ROWS[name] | values))


@pytest.mark.parametrize("limit", [0, limits.COLLECTED_ROWS], ids=["much", "little"])
@pytest.mark.parametrize("name", ROWS)
def test_publish_rows__a_key_that_comes_twice_stops_the_table(
    name: str, limit: int, opened: OpenLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "COLLECTED_ROWS", limit)
    lake, table = opened(tmp_path), TABLES[name]
    once = pa.Table.from_pylist([filled(name, **ROWS[name])], arrow_schema(table))
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


@pytest.mark.parametrize("limit", [0, limits.COLLECTED_ROWS], ids=["much", "little"])
def test_publish_rows__replaces_the_partition_of_rows_without_a_day(
    limit: int, opened: OpenLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "COLLECTED_ROWS", limit)
    monkeypatch.setattr(limits, "FEW_ROWS", limit)
    lake, name = opened(tmp_path), "silver.fact_attendance"

    def publish(days: list[date | None], **keys: date | None) -> None:
        rows = pa.Table.from_pylist(
            [attendance(attendance_id=key, attendance_date=day) for key, day in keys.items()],
            arrow_schema(TABLES[name]),
        )
        with Gate(lake.store, "a build") as gate:
            frame = lake.spark.createDataFrame(rows)
            publish_rows(lake, gate, name, frame, rows.num_rows, days)

    def stored(*days: date | None) -> list[tuple[str, date | None]]:
        rows = lake.tables.read_days(name, days).collect()
        return sorted((row["attendance_id"], row["attendance_date"]) for row in rows)

    later = DAY + timedelta(days=1)
    publish([DAY, None, later], A=DAY, B=None, C=later)
    publish([None, DAY], D=DAY, E=None, F=None)
    assert stored(None) == [("E", None), ("F", None)]
    assert stored(DAY, None, later) == [("C", later), ("D", DAY), ("E", None), ("F", None)]
    publish([None], G=None)
    assert stored(None, later) == [("C", later), ("G", None)]
    assert lake.tables.days(name) == [DAY, later]
    assert lake.tables.rows_at_most(name, [None, DAY]) == 2


def test_allow_nulls__lets_an_older_table_take_rows_without_a_day(
    opened: OpenLake, tmp_path: Path
) -> None:
    lake, table = opened(tmp_path), TABLES["silver.fact_attendance"]
    required = ("attendance_date", "class_id", "created_at")
    older = replace(
        table,
        columns=tuple(c.with_(nulls=NEVER) if c.name in required else c for c in table.columns),
    )
    created_table(lake.store, older, {})
    lake.tables.allow_nulls(table.name)
    row = attendance(attendance_date=None, class_id=None, created_at=None)
    rows = lake.spark.createDataFrame(pa.Table.from_pylist([row], arrow_schema(table)))
    assert lake.tables.replace_dates(table.name, rows, [None], "a build", at_most=1) == 1
    version = lake.tables._opened(table.name).version()
    lake.tables.allow_nulls(table.name)
    assert lake.tables._opened(table.name).version() == version
