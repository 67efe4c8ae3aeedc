"""The ledger: appends of many writers are all kept, a stale one is refused, rows are typed."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pytest

from lake.ledger import (
    Ledger,
    LedgerRow,
    SourceVersion,
    StaleWriterError,
    ledger_rows,
    source_app_id,
)
from lake.storage import ObjectStore, open_store
from lake.storage_local import LocalStore
from schemas.tables.bronze import RAW_OBJECTS
from tests.services import Minio

NOW = datetime(2025, 12, 1, 12, tzinfo=UTC)


@pytest.fixture(params=["local", "s3"])
def store(request: pytest.FixtureRequest, lake_root: Path) -> ObjectStore:
    if request.param == "local":
        return LocalStore(lake_root)
    minio: Minio = request.getfixturevalue("minio")
    return open_store(minio.settings())


def row(source: str, offset: int, day: date = date(2025, 11, 1)) -> LedgerRow:
    span = (offset, offset, offset, offset)
    path = f"events/raw/native/date={day}/{source}-{offset}"
    return LedgerRow("native", source, 0, day, path, *span, 1, 9, NOW, NOW, NOW, False, None, "5")


def append(ledger: Ledger, source: str, offset: int) -> None:
    app_id = source_app_id("native", source)
    ledger.append([row(source, offset)], app_id, offset, offset - 1 if offset else None)


def test_ledger_row__has_the_declared_columns() -> None:
    names = tuple(field.name for field in dataclasses.fields(LedgerRow))
    assert names == RAW_OBJECTS.column_names


def test_append__many_writers_lose_nothing(store: ObjectStore) -> None:
    def write(source: str) -> None:
        ledger = Ledger(store)
        for offset in range(5):
            append(ledger, source, offset)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(write, "abc"))
    ledger = Ledger(store)
    assert ledger.rows().num_rows == 15
    assert [ledger.resume_offset("native", s) for s in "abcd"] == [5, 5, 5, 0]
    ledger._refreshed().optimize.compact()
    assert Ledger(store).rows().num_rows == 15
    assert Ledger(store).resume_offset("native", "a") == 5


def test_append__one_of_two_for_the_same_source_is_refused(store: ObjectStore) -> None:
    first, second = Ledger(store), Ledger(store)
    assert (first.resume_offset("native", "a"), second.resume_offset("native", "a")) == (0, 0)
    append(first, "a", 0)
    with pytest.raises(StaleWriterError):
        append(second, "a", 0)
    assert second.rows().num_rows == 1


def test_append__simultaneous_writers_of_one_source(store: ObjectStore) -> None:
    def write(_: int) -> bool:
        try:
            append(Ledger(store), "a", 0)
        except StaleWriterError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(write, range(4))) == 1
    assert Ledger(store).rows().num_rows == 1


def test_rows__by_date_and_kind(lake_root: Path) -> None:
    ledger = Ledger(LocalStore(lake_root))
    raw = [row("a", 0), row("a", 1, date(2025, 11, 2))]
    bad = dataclasses.replace(row("q", 0), is_quarantine=True, reasons='{"too_old":1}')
    retired = dataclasses.replace(bad, path="q1")
    heir = dataclasses.replace(row("a", 2), replaces="q1")
    ledger.append([*raw, bad, retired, heir], "x", 0)
    assert ledger_rows(ledger.rows([date(2025, 11, 2)])) == [raw[1]]
    assert ledger.rows().num_rows == 3
    assert ledger.rows(is_quarantine=None).num_rows == 5
    late = dataclasses.replace(row("a", 3), ingested_at=NOW + timedelta(microseconds=1))
    ledger.append([late], "y", 3)
    elsewhere = timezone(timedelta(hours=5))
    assert ledger_rows(ledger.rows(since=late.ingested_at.astimezone(elsewhere))) == [late]
    assert ledger.rows(since=NOW).num_rows == 4
    assert ledger.live_quarantine() == [bad]
    assert ledger.live_quarantine([date(2020, 1, 1)]) == []


def test_append_all__is_all_or_nothing_over_sources(store: ObjectStore) -> None:
    first, second = Ledger(store), Ledger(store)
    first.append_all([row("a", 3), row("b", 5)], [SourceVersion("a", 3), SourceVersion("b", 5)])
    assert (second.version_of("a"), second.version_of("b")) == (3, 5)
    with pytest.raises(StaleWriterError) as refused:
        second.append_all(
            [row("a", 4), row("b", 6), row("c", 0)],
            [SourceVersion("a", 4, 3), SourceVersion("b", 6, 4), SourceVersion("c", 0, 2)],
        )
    assert refused.value.app_ids == {"b", "c"}
    assert second.rows().num_rows == 2
    assert [second.version_of(source) for source in "abc"] == [3, 5, None]


@pytest.mark.parametrize("is_read_first", [True, False])
def test_append__to_a_table_from_before_a_column(store: ObjectStore, is_read_first: bool) -> None:
    before = Ledger(store)
    before._arrow = before._arrow.remove(before._arrow.get_field_index("flush_gap_count"))
    append(before, "a", 0)
    assert "flush_gap_count" not in {f.name for f in before._refreshed().schema().fields}
    ledger = Ledger(store)
    if is_read_first:
        (old,) = ledger_rows(ledger.rows())
        assert old.flush_gap_count is None
    new = dataclasses.replace(row("a", 1), flush_gap_count=7)
    ledger.append([new], source_app_id("native", "a"), 1, 0)
    assert [r.flush_gap_count for r in ledger_rows(Ledger(store).rows())] == [None, 7]
    append(ledger, "a", 2)
    assert ledger.rows().num_rows == 3
    with pytest.raises(StaleWriterError):
        append(Ledger(store), "a", 1)
