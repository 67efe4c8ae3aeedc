"""Flushes of one origin: all or nothing, once, fenced, no notion of files."""

from __future__ import annotations

import gzip
import io
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from lake.ledger import Ledger, StaleWriterError, ledger_rows
from lake.raw import RawWriter, commit_flush
from lake.raw_buffers import OriginBuffer
from lake.raw_objects import Origin
from lake.storage_local import LocalStore
from lake.timestamps import to_microseconds
from lake.validation import Accepted, Rejected

NOW = datetime(2025, 12, 1, 12, tzinfo=UTC)
KAFKA = Origin("lms.events", "cluster-1/lms.events", 3)


def accepted(number: int, moment: datetime = NOW) -> Accepted:
    line = orjson.dumps({"event_id": f"e-{number}"})
    return Accepted(line, moment.date(), to_microseconds(moment), f"e-{number}")


def writer(root: Path, origin: Origin = KAFKA, **more: Any) -> RawWriter:
    store = LocalStore(root)
    return RawWriter(store, Ledger(store), origin, clock=lambda: NOW, **more)


def test_flush__one_object_per_day_and_one_row_each(lake_root: Path) -> None:
    raw = writer(lake_root)
    other = datetime(2025, 11, 30, 23, 59, 59, 999_999, tzinfo=UTC)
    raw.accept(100, accepted(1))
    raw.accept(101, accepted(2, other))
    raw.reject(103, Rejected("malformed_json", "x"), b"{", NOW)
    raw.accept(107, accepted(3, NOW.replace(hour=1)))
    assert raw.flush() == 4
    rows = {
        (r.date, r.is_quarantine): r
        for r in ledger_rows(Ledger(LocalStore(lake_root)).rows(is_quarantine=None))
    }
    assert len(rows) == 3
    today = rows[date(2025, 12, 1), False]
    assert (today.first_offset, today.last_offset, today.record_count) == (100, 107, 2)
    assert (today.min_ts, today.max_ts) == (NOW.replace(hour=1), NOW)
    assert {(r.flush_first_offset, r.flush_last_offset) for r in rows.values()} == {(100, 107)}
    assert rows[date(2025, 11, 30), False].min_ts == other
    rejected = rows[date(2025, 12, 1), True]
    assert rejected.reasons == '{"malformed_json":1}'
    assert (rejected.id_digest, rejected.min_ts) == (None, None)
    (record,) = gzip.decompress((lake_root / rejected.path).read_bytes()).splitlines()
    assert orjson.loads(record)["offset"] == 103
    assert raw.next_offset == 108
    assert writer(lake_root).next_offset == 108
    assert writer(lake_root, Origin("lms.events", KAFKA.source, 4)).next_offset == 0


def test_flush__nothing_is_no_commit(lake_root: Path) -> None:
    assert writer(lake_root).flush() == 0
    assert Ledger(LocalStore(lake_root)).rows(is_quarantine=None).num_rows == 0


def test_accept__flushes_by_count_and_by_bytes(lake_root: Path) -> None:
    raw = writer(lake_root, flush_records=2)
    for offset in range(5):
        raw.accept(offset, accepted(offset))
    assert raw.next_offset == 4
    raw = writer(lake_root, Origin("t", "s"), flush_bytes=1)
    raw.accept(0, accepted(0))
    raw.reject(1, Rejected("x", "y"), b"z", NOW)
    assert raw.next_offset == 2


@pytest.mark.parametrize("offset", [-1, 4, 5])
def test_accept__offsets_only_ascend(lake_root: Path, offset: int) -> None:
    raw = writer(lake_root)
    raw.accept(5, accepted(5))
    with pytest.raises(ValueError, match="was taken before"):
        raw.accept(offset, accepted(6))


def test_flush__a_writer_that_was_overtaken_is_refused_and_harms_nothing(lake_root: Path) -> None:
    first, zombie = writer(lake_root), writer(lake_root)
    first.accept(0, accepted(1))
    zombie.accept(0, accepted(2))
    first.flush()
    with pytest.raises(StaleWriterError, match="Another process"):
        zombie.flush()
    (row,) = ledger_rows(Ledger(LocalStore(lake_root)).rows())
    assert b"e-1" in gzip.decompress((lake_root / row.path).read_bytes())


def test_flush__interrupted_before_the_commit_is_repeated(
    lake_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = writer(lake_root)
    raw.accept(0, accepted(1))
    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "append_all", _killed)
        with pytest.raises(KeyboardInterrupt):
            raw.flush()
    again = writer(lake_root)
    assert again.next_offset == 0
    again.accept(0, accepted(1))
    again.flush()
    assert Ledger(LocalStore(lake_root)).rows().num_rows == 1
    assert len(list(LocalStore(lake_root).list("events/raw"))) == 1


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_reject__large_record_lies_beside(lake_root: Path) -> None:
    raw = writer(lake_root)
    raw.reject(7, Rejected("too_large", "x"), b"beg", NOW, io.BytesIO(b"beginning and end"))
    raw.flush()
    (row,) = Ledger(LocalStore(lake_root)).live_quarantine()
    record = orjson.loads(gzip.decompress((lake_root / row.path).read_bytes()))
    assert (lake_root / record["raw_object"]).read_bytes() == b"beginning and end"
    assert (record["raw_bytes"], record["raw"]) == (17, "beg")


def test_commit_flush__several_origins_in_one_commit_that_may_be_repeated(
    lake_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalStore(lake_root)
    origins = [Origin("lms.events", KAFKA.source, n) for n in range(3)]
    buffers = [OriginBuffer(origin, None, 10, clock=lambda: NOW) for origin in origins]
    for number, buffer in enumerate(buffers[:2]):
        buffer.accept(10, accepted(number))
        buffer.reject(12, Rejected("x", "y"), b"z", NOW)
        buffer.skip_to(15)
    ledger = Ledger(store)
    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "append_all", _killed)
        with pytest.raises(KeyboardInterrupt):
            commit_flush(store, ledger, buffers)
    rows = commit_flush(store, ledger, buffers)
    assert commit_flush(store, ledger, buffers) == []
    assert Ledger(store)._refreshed().version() == 1
    assert ledger_rows(ledger.rows(is_quarantine=None)) == sorted(rows, key=lambda r: r.path)
    assert {(r.flush_first_offset, r.flush_last_offset, r.flush_gap_count) for r in rows} == {
        (10, 14, 3)
    }
    assert [b.next_offset for b in buffers] == [15, 15, 10]
    assert [ledger.version_of(o.app_id) for o in origins] == [14, 14, None]


def test_origin_buffer__spans_chain_over_gaps(lake_root: Path) -> None:
    store = LocalStore(lake_root)
    buffer = OriginBuffer(KAFKA, None, 3, clock=lambda: NOW)
    for offset in (5, 9):
        buffer.accept(offset, accepted(offset))
        commit_flush(store, Ledger(store), [buffer])
    buffer.skip_to(20)  # nothing is held: the next record's span begins after the last one
    buffer.accept(22, accepted(22))
    (row,) = commit_flush(store, Ledger(store), [buffer])
    assert (row.flush_first_offset, row.flush_last_offset, row.flush_gap_count) == (10, 22, 12)
