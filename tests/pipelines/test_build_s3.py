"""The whole way on an object store: raw zone, ledger, build, audit and readers without Spark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lake.audit import audit
from lake.pipelines.build import Lake, build, open_lake
from lake.query import frame
from tests.laws.world import compared, ingest, tables_of
from tests.pipelines.conftest import OpenLake
from tests.pipelines.lakes import KEY, difference_from, four_days, shown
from tests.services import Minio

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture(scope="module")
def lake(
    minio: Minio, spark: SparkSession, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lake]:
    """A lake in a bucket after two builds, the second one of late events."""
    folder = tmp_path_factory.mktemp("s3")
    settings = minio.settings(pseudonym_key=KEY)
    assert settings.is_s3
    lines = sorted(four_days())
    with open_lake(settings, "tests", spark=spark) as lake:
        for number in range(2):
            ingest(lake, folder / str(number), lines[number::2])
            build(lake)
        yield lake


@pytest.mark.slow
def test_build__on_s3_gives_what_a_local_lake_gives(
    lake: Lake, opened: OpenLake, tmp_path: Path
) -> None:
    difference = difference_from(lake, four_days())
    assert not difference, difference
    local = opened(tmp_path / "lake")
    ingest(local, tmp_path / "files", four_days())
    build(local)
    found = compared(tables_of(local), tables_of(lake))
    assert not found, shown(found)
    assert build(lake) == []


@pytest.mark.slow
def test_audit__proves_a_lake_on_s3(lake: Lake) -> None:
    outcome = audit(lake.settings)
    assert outcome.is_proven, outcome
    assert outcome.received == len(four_days())
    assert sum(line.events + line.duplicates + line.quarantined for line in outcome.lines) == len(
        four_days()
    )


@pytest.mark.slow
def test_frame__reads_what_was_built_on_s3(lake: Lake) -> None:
    rows = frame(
        "SELECT count(*) AS rows, count(DISTINCT session_id) AS sessions FROM silver.events",
        settings=lake.settings,
    )
    expected = tables_of(lake)["silver.events"]
    assert rows["rows"].item() == len(expected)
    assert rows["sessions"].item() == len({row["session_id"] for row in expected})
    daily = frame("gold.student_daily_activity", "polars", settings=lake.settings)
    assert daily["events_count"].sum() == len(expected)
