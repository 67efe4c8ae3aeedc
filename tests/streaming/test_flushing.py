"""Flushes without a broker: time limits, stores that hang, a ledger that is kept small."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError
from kafka import TopicPartition

from lake.errors import LakeError
from lake.ledger import Ledger, StaleWriterError
from lake.raw_buffers import OriginBuffer
from lake.storage_local import LocalStore
from streaming import flushing
from streaming.flushing import Flusher, TooLateError
from streaming.holdings import Holdings
from streaming.monitoring import ArchiverMetrics, Health
from streaming.options import ArchiveOptions
from streaming.outages import is_store_outage
from streaming.positions import origin_of
from tests.lake.test_raw import accepted
from tests.streaming.world import wait_until

ORIGIN = origin_of("cluster", "clicks", 0)


class HangingStore(LocalStore):
    """A store that does not answer until `answers` is set."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.answers = threading.Event()

    def put(self, key: str, body: bytes) -> None:
        assert self.answers.wait(30)
        super().put(key, body)


@pytest.fixture
def store(lake_root: Path) -> Iterator[HangingStore]:
    store = HangingStore(lake_root)
    yield store
    store.answers.set()


def flusher(store: LocalStore) -> Flusher:
    return Flusher(store, Ledger(store), ArchiverMetrics(), Health(), time.sleep)


def filled(offset: int, committed: int | None = None) -> OriginBuffer:
    buffer = OriginBuffer(ORIGIN, committed)
    buffer.accept(offset, accepted(offset))
    return buffer


def test_is_due__by_size() -> None:
    held = Holdings(ArchiveOptions(topics={"clicks": 1}, flush_bytes=2 * len(accepted(0).line)))
    partition = TopicPartition("clicks", 0)
    held.open(partition, OriginBuffer(ORIGIN, None))

    def take(buffer: OriginBuffer, record: SimpleNamespace) -> None:
        buffer.accept(record.offset, accepted(record.offset))

    for offset, is_due in ((0, False), (1, True)):
        held.take({partition: [SimpleNamespace(offset=offset)]}, take)  # type: ignore[arg-type]
        assert held.is_due is is_due


def test_flush__hanging_store_is_waited_for(store: HangingStore) -> None:
    threading.Timer(1.0, store.answers.set).start()
    buffer = filled(0)
    flusher(store).flush(lambda: [buffer])
    assert buffer.records == 0
    assert Ledger(store).version_of(ORIGIN.app_id) == 0


def test_flush__ends_at_its_deadline(store: HangingStore) -> None:
    hanging = flusher(store)
    hanging.deadline = time.monotonic() + 0.5
    with pytest.raises(TooLateError):
        hanging.flush(lambda: [filled(0)])


def test_flush__one_who_is_to_end_does_not_wait_for_ever(store: HangingStore) -> None:
    hanging = flusher(store)
    hanging.patience = 0.5
    with pytest.raises(TooLateError, match="is taken again by the next start"):
        hanging.flush(lambda: [filled(0)])


def test_flush__refusal_is_no_outage(store: HangingStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(key: str, body: bytes) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied"}}, "PutObject")

    monkeypatch.setattr(store, "put", refuse)
    with pytest.raises(LakeError, match="who may list"):
        flusher(store).flush(lambda: [filled(0)])


@pytest.mark.parametrize(
    ("code", "is_outage"), [("AccessDenied", False), ("NoSuchBucket", False), ("SlowDown", True)]
)
def test_is_store_outage__reads_what_delta_rs_tells(code: str, is_outage: bool) -> None:
    told = OSError(f"Error performing PUT … 403 Forbidden <Error><Code>{code}</Code></Error>")
    assert is_store_outage(told) is is_outage


def test_flush_within__a_late_commit_harms_nothing(store: HangingStore) -> None:
    buffer = filled(0)
    with pytest.raises(TooLateError, match="within 0 s"):
        flusher(store).flush_within(0.2, lambda: [buffer])
    store.answers.set()
    wait_until(lambda: Ledger(store).version_of(ORIGIN.app_id) == 0, "the commit")
    with pytest.raises(StaleWriterError):
        flusher(store).flush(lambda: [filled(0)])
    assert Ledger(store).rows().num_rows == 1


def test_flush__joins_small_files_of_the_ledger(
    store: HangingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flushing, "COMMITS_BETWEEN_COMPACTIONS", 4)
    monkeypatch.setattr("lake.ledger.FILES_BEFORE_COMPACTION", 4)
    store.answers.set()
    buffer, busy = OriginBuffer(ORIGIN, None), flusher(store)
    for offset in range(4):
        buffer.accept(offset, accepted(offset))
        busy.flush(lambda: [buffer])
    assert busy.committed_offsets([ORIGIN.app_id]) == [3]  # after the compaction
    ledger = Ledger(store)
    assert ledger.rows().num_rows == 4
    assert len(ledger._refreshed().file_uris()) == 1
