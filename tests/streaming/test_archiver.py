"""The archiver against a real broker: exactly once, gaps, poison, retention, stale writers."""

from __future__ import annotations

import base64
import logging
import os
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest
from click.testing import CliRunner
from kafka import KafkaAdminClient, KafkaProducer, TopicPartition

from jobs.cli import cli
from lake.errors import LakeError
from lake.ledger import Ledger, ledger_rows, reason_counts
from lake.quarantine import raw_bytes
from lake.storage import open_store
from lake.storage_local import LocalStore
from lake.validation import Limits
from streaming.consumer import KafkaOptions, is_settled, keep_joining, open_consumer
from streaming.monitoring import ArchiverMetrics
from streaming.rebalances import Rebalances
from tests.lake.raw_zone import RawZone
from tests.services import Kafka, Minio
from tests.streaming.world import (
    NEVER_SECONDS,
    World,
    canonical,
    event,
    in_background,
    wait_until,
)

pytestmark = [pytest.mark.services, pytest.mark.slow]


def value_of(metrics: ArchiverMetrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(name, labels) or 0.0


@pytest.mark.parametrize("place", ["local", "s3"])
def test_archive__each_event_once_in_few_commits(
    place: str, request: pytest.FixtureRequest, kafka: Kafka, lake_root: Path
) -> None:
    if place == "s3":
        minio: Minio = request.getfixturevalue("minio")
        world = World(kafka, kafka.create_topic(), open_store(minio.settings()))
    else:
        world = World(kafka, kafka.create_topic(), LocalStore(lake_root))
    world.send(range(3_000))
    world.archive_once()
    world.check_exactly_once()
    rows = ledger_rows(world.zone.ledger.rows())
    assert {row.partition for row in rows} == {0, 1, 2, 3}
    assert Ledger(world.store)._refreshed().version() == 1  # made, then one commit for all
    world.archive_once()
    assert Ledger(world.store)._refreshed().version() == 1
    world.send(range(3_000, 3_500))
    archiver = world.archive_once(flush_records=100)
    world.check_exactly_once()
    assert archiver.progress().events == 500
    assert all(row.source.endswith(f"/{world.topic}") for row in rows)


@pytest.mark.parametrize("compression", ["gzip", "lz4", "snappy", "zstd"])
def test_archive__compressed_batches(world: World, compression: str) -> None:
    world.send(range(200), compression_type=compression)
    world.archive_once()
    world.check_exactly_once()


def poison() -> list[tuple[str, bytes | None]]:
    """Reason, value."""
    old = (datetime.now(UTC) - timedelta(days=40)).isoformat()
    soon = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
    return [
        ("tombstone", None),
        ("malformed_json", b""),
        ("malformed_json", b'{"event_id":'),
        ("invalid_utf8", b"\xff\x00\xfe" + os.urandom(40)),
        ("not_an_object", b"[1]"),
        ("unknown_event_type", orjson.dumps(event(1, event_type="login"))),
        ("schema_violation", orjson.dumps({"event_type": "page_view"})),
        ("invalid_timestamp", orjson.dumps(event(1, timestamp="yesterday"))),
        ("too_old", orjson.dumps(event(1, timestamp=old))),
        ("in_future", orjson.dumps(event(1, timestamp=soon))),
        ("duplicate_key", b'{"a":1,"a":2}'),
        ("too_large", orjson.dumps(event(1, metadata={"verb": "é" * 5_000}))),
    ]


def test_archive__poison_comes_back_byte_exact(world: World, lake_root: Path) -> None:
    sent = poison()
    for number, (_, value) in enumerate(sent):
        headers = [("trace", b"\x00\xff"), ("text", b"x")] if number % 2 else None
        world.send_raw(value, key=b"k\xff" if number % 3 else b"key", headers=headers, partition=1)
    world.send(range(10))
    world.archive_once(limits=Limits(max_event_age=timedelta(days=30)), max_record_bytes=4_000)
    world.check_exactly_once()
    found = {record["offset"]: record for record in world.zone.quarantined()}
    assert len(found) == len(sent)
    for number, (reason, value) in enumerate(sent):
        record = found[number]
        assert record["reason"] == reason
        assert (record["topic"], record["partition"]) == (world.topic, 1)
        if reason == "too_large":
            assert world.store.get(record["raw_object"]) == value
        elif value is None:
            assert record["is_null"] is True
        else:
            assert raw_bytes(record) == value
        key = record.get("key", "").encode() or base64.b64decode(record["key_base64"])
        assert key == (b"k\xff" if number % 3 else b"key")
        headers = [
            (h["key"], base64.b64decode(h["value_base64"])) for h in record.get("headers", [])
        ]
        assert headers == ([("trace", b"\x00\xff"), ("text", b"x")] if number % 2 else [])

    def lmslake(*arguments: str) -> str:
        environment = {"LMSLAKE_ROOT": str(lake_root), "LMSLAKE_MAX_RECORD_BYTES": "900000"}
        result = CliRunner().invoke(cli, arguments, env=environment, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    assert "tombstone" in lmslake("quarantine", "show", "--limit", "50")
    replayed = lmslake("quarantine", "replay", "--max-event-age", "90", "--reason", "too_old")
    assert "1 now in raw" in replayed
    assert "1 now in raw" in lmslake("quarantine", "replay", "--reason", "too_large")
    assert world.faults() == []
    assert "Nothing is lost and nothing is doubled." in lmslake("audit")


class OddName(str):
    """A header's name as other clients can send it."""

    def encode(self, *_: str) -> bytes:
        return b"na\xff\xfeme"


def test_archive__header_names_that_are_no_text(world: World) -> None:
    odd = [(OddName("name"), b"1"), ("plain", b"2")]
    world.send_raw(b"{", partition=0, headers=odd)
    good = canonical(event(1))
    world.send_raw(good, partition=0, headers=odd)
    world.sent[good] += 1
    world.send(range(10, 20))
    world.archive_once()
    world.check_exactly_once()
    (record,) = world.zone.quarantined()
    assert [h["key"] for h in record["headers"]] == [r"na\xff\xfeme", "plain"]


def test_archive__new_topics_are_read_at_once(kafka: Kafka, lake_root: Path) -> None:
    """kafka-python forgets a rebalance that new metadata brought, once in some ten starts."""
    for number in range(15):
        world = World(kafka, kafka.create_topic(), LocalStore(lake_root / str(number)))
        archiver = world.archiver(flush_seconds=0.1)
        with in_background(archiver) as failures:
            world.send(range(8))
            # Longer than until the next look at the metadata: who forgot it stays without.
            wait_until(lambda a=archiver: a.progress().events == 8, "all of it", 90)  # type: ignore[misc]
        assert failures == []


def test_archive__offsets_of_transactions_are_gaps(world: World) -> None:
    producer = KafkaProducer(
        bootstrap_servers=world.kafka.bootstrap_servers, transactional_id=world.topic
    )
    producer.init_transactions()
    for number in range(6):
        producer.begin_transaction()
        for item in range(5):
            body = canonical(event(number * 10 + item))
            producer.send(world.topic, value=body, partition=item % 2)
            world.sent[body] += number % 2
        producer.flush()
        if number % 2:
            producer.commit_transaction()
        else:
            producer.abort_transaction()
    producer.close()
    world.archive_once()
    world.check_exactly_once()
    gaps = {row.partition: row.flush_gap_count for row in ledger_rows(world.zone.ledger.rows())}
    # of three: a marker for each of six transactions, and the records of three that were aborted
    assert gaps == {0: 6 + 9, 1: 6 + 6}
    before = world.zone.ledger.rows()
    world.archive_once()
    assert world.zone.ledger.rows() == before


def test_archive__compacted_topic(kafka: Kafka, lake_root: Path) -> None:
    topic = kafka.create_topic(
        1,
        **{
            "cleanup.policy": "compact",
            "segment.ms": "100",
            "segment.bytes": "1048576",
            "min.cleanable.dirty.ratio": "0.01",
            "max.compaction.lag.ms": "100",
        },
    )
    world = World(kafka, topic, LocalStore(lake_root))
    values = [canonical(event(number)) for number in range(60)]
    for number, value in enumerate(values):
        world.send_raw(value, key=str(number % 3).encode())
    wait_until(lambda: world.readable() < 60, "the broker's cleaner has run")
    world.archive_once(flush_records=10)
    held = ledger_rows(world.zone.ledger.rows())
    # However far the cleaner has come: every offset is a record or a gap.
    assert world.faults() == []
    assert sum(row.record_count for row in held) < 60
    assert sum(row.flush_gap_count or 0 for row in held) > 0
    assert set(world.zone.lines()) <= set(values)
    assert min(row.flush_first_offset for row in held) == 0
    assert max(row.flush_last_offset for row in held) == 59


@pytest.mark.parametrize("is_reading", [False, True], ids=["before", "while it reads"])
def test_archive__retention_overtook_it(
    is_reading: bool, world: World, caplog: pytest.LogCaptureFixture, lake_root: Path
) -> None:
    world.send(range(400))
    world.archive_once()
    archived = world.sent.copy()
    world.send(range(400, 800))
    archiver = world.archiver(flush_seconds=NEVER_SECONDS)
    open_partitions = archiver._open_partitions

    def open_and_expire() -> None:
        open_partitions()
        world.delete_before(150, partition=2)

    if is_reading:
        archiver._open_partitions = open_and_expire  # type: ignore[method-assign]
    else:
        world.delete_before(150, partition=2)
    with caplog.at_level(logging.ERROR):
        archiver.run(world.ends())
    assert f"LOST: {world.topic} partition 2: offsets 100 … 149 (50)" in caplog.text
    lost = world.sent - world.zone.lines()
    assert lost.total() == 50
    assert not lost & archived
    (record,) = world.zone.quarantined()
    assert record["reason"] == "expired_in_broker"
    assert (record["first_lost_offset"], record["last_lost_offset"]) == (100, 149)
    (fault,) = world.faults()
    assert fault.endswith(
        "partition 2: offsets 100 … 149 (50) are lost: they expired in the broker before they "
        "were archived"
    )
    labels = {"topic": world.topic, "partition": "2"}
    assert value_of(archiver.metrics, "lmslake_archiver_lost_offsets_total", **labels) == 50
    result = CliRunner().invoke(cli, ["audit"], env={"LMSLAKE_ROOT": str(lake_root)})
    assert result.exit_code == 1
    assert "offsets 100 … 149 (50) are lost" in result.output
    world.archive_once()
    assert len(world.faults()) == 1


def test_archive__topic_that_had_expired_before_the_first_start(world: World) -> None:
    world.send(range(40))
    world.delete_before(7, partition=0)
    world.archive_once()
    assert world.faults() == []
    assert world.zone.lines().total() == 33


def test_archive__topic_made_again(world: World) -> None:
    world.send(range(400))
    world.archive_once()
    admin = KafkaAdminClient(bootstrap_servers=world.kafka.bootstrap_servers)
    admin.delete_topics([world.topic])
    wait_until(lambda: world.topic not in admin.list_topics(), "the topic is deleted")
    admin.close()
    world.kafka.create_topic(4, world.topic)
    world.send(range(400, 440))
    with pytest.raises(LakeError, match=r"ends at offset 10, but the ledger holds .* up to 99"):
        world.archive_once()
    assert world.zone.lines().total() == 400
    world.archive_once(topics={world.topic: 2})
    assert world.zone.lines() == world.sent
    assert world.faults() == []


def test_is_settled__not_before_the_partitions_are_known(world: World) -> None:
    consumer = open_consumer(KafkaOptions(world.kafka.bootstrap_servers, uuid4().hex))
    given: list[tuple[int, bool]] = []

    def note(partitions: Iterable[TopicPartition]) -> None:
        assigned = list(partitions)
        given.append((len(assigned), is_settled(consumer)))
        for partition in assigned:
            consumer.seek(partition, 0)

    consumer.subscribe([world.topic], listener=Rebalances(note, ignored, ignored))
    assert not is_settled(consumer)

    def has_settled() -> bool:
        keep_joining(consumer)
        consumer.poll(timeout_ms=100)
        return is_settled(consumer)

    wait_until(has_settled, "the group has assigned")
    consumer.close()
    # An assignment of nothing may come before.
    assert given[-1] == (4, True)
    assert set(given) <= {(0, False), (4, True)}


def ignored(_: object) -> None:
    return None


class Overtaken(Ledger):
    """A ledger into which another archiver writes one partition, just before our first commit."""

    def __init__(self, store: Any, other: World) -> None:
        super().__init__(store)
        self.other: World | None = other

    def append_all(self, rows: Any, sources: Any) -> None:
        if self.other is not None:
            other, self.other = self.other, None
            mine = [s for s in sources if s.app_id.endswith("/2")]
            taken = [r for r in rows if r.partition == 2]
            Ledger(other.store).append_all(taken, mine)
        super().append_all(rows, sources)


def test_archive__stale_partition_harms_no_other(world: World) -> None:
    world.send(range(400))
    archiver = world.archiver(flush_seconds=NEVER_SECONDS)
    archiver._flusher._ledger = Overtaken(world.store, world)
    archiver.run(world.ends())
    world.check_exactly_once()
    labels = {"topic": world.topic, "partition": "2"}
    assert value_of(archiver.metrics, "lmslake_archiver_stale_flushes_total", **labels) == 1


def test_archive__group_offsets_show_the_lag(world: World) -> None:
    world.send(range(40))
    archiver = world.archiver(flush_seconds=NEVER_SECONDS)
    committed: dict[Any, Any] = {}
    commit = archiver._consumer.commit_async
    archiver._consumer.commit_async = lambda offsets: (committed.update(offsets), commit(offsets))
    archiver.run(world.ends())
    assert {p.partition: o.offset for p, o in committed.items()} == dict.fromkeys(range(4), 10)


def test_archive__missing_topic_is_named(world: World) -> None:
    environment = {
        "LMSLAKE_ROOT": world.store.uri(""),
        "LMSLAKE_KAFKA_BOOTSTRAP_SERVERS": world.kafka.bootstrap_servers,
        "LMSLAKE_KAFKA_TOPICS": f"{world.topic},nothing-here",
        "LMSLAKE_METRICS_PORT": "0",
    }
    result = CliRunner().invoke(cli, ["archive", "--once"], env=environment)
    assert isinstance(result.exception, LakeError)
    assert "No such topic in Kafka: nothing-here" in str(result.exception)


def test_archive__reasons_are_counted(world: World) -> None:
    world.send(range(8))
    world.send_raw(b"{", partition=0)
    archiver = world.archive_once()
    (row,) = world.zone.ledger.live_quarantine()
    assert reason_counts(row) == {"malformed_json": 1}
    metrics, topic = archiver.metrics, world.topic
    assert value_of(metrics, "lmslake_archiver_records_total", topic=topic) == 9
    assert value_of(metrics, "lmslake_archiver_archived_total", topic=topic) == 8
    name = "lmslake_archiver_quarantined_total"
    assert value_of(metrics, name, topic=topic, reason="malformed_json") == 1
    assert RawZone(world.store).lines().total() == 8
