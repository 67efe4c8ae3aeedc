"""The whole way on an object store: raw zone, ledger, build, audit and readers without Spark."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lake.audit import audit
from lake.pipelines.build import build
from lake.pipelines.opened import Lake, open_lake
from lake.query import frame
from lake.storage import LeaseHeld
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
    """A lake in a bucket after two builds, the second one of late events.

    That one took the lock over from a builder that stood still where it was to publish the same
    events, and went on afterwards.
    """
    folder = tmp_path_factory.mktemp("s3")
    settings = minio.settings(pseudonym_key=KEY)
    assert settings.is_s3
    lines = sorted(four_days())
    with ExitStack() as stack:
        lake, stale = (
            stack.enter_context(open_lake(settings, "tests", spark=spark)) for _ in range(2)
        )
        ingest(lake, folder / "early", lines[::2])
        build(lake)
        ingest(lake, folder / "late", lines[1::2])
        stack.enter_context(standing_still(stale, lambda: build(lake)))
        with pytest.raises(LeaseHeld, match=r"took it over, says .*silver/events"):
            build(stale)
        assert not stale.journal.unfinished()
        yield lake


@contextmanager
def standing_still(lake: Lake, meanwhile: Callable[[], object]) -> Iterator[None]:
    """The lake's build does so before it appends events; `meanwhile` may take its lock over."""
    append = lake.tables.append

    def stalled(*given: Any) -> int:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("lake.lease_s3.LEASE_EXPIRY_SECONDS", -1)
            meanwhile()
        return append(*given)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(lake.tables, "append", stalled)
        yield


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
