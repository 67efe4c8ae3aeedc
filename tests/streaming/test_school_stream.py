"""Topics of school records into bronze, with a real broker, and processes that are killed."""

from __future__ import annotations

import logging
import os
import random
import signal
import threading
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from kafka import KafkaAdminClient

from lake.errors import LakeError
from lake.landing.watching import LEASE
from lake.storage import open_store
from lake.storage_local import LocalStore
from streaming.school_metrics import SchoolMetrics
from tests.landing.files import GOOD, bronze_rows, table_rows
from tests.landing.zones import School as Zone
from tests.pipelines.killing import Command, files_below
from tests.services import Kafka, Minio, closed_port, free_port, running_kafka
from tests.streaming.pages import Pages
from tests.streaming.school_world import SchoolWorld
from tests.streaming.world import wait_until

pytestmark = pytest.mark.services

SEED = 20_251_122
KILLS = 6


@pytest.fixture
def world(kafka: Kafka, lake_root: Path) -> SchoolWorld:
    return SchoolWorld(kafka, LocalStore(lake_root))


def sample(metrics: SchoolMetrics, name: str) -> float:
    """The sum of a metric over its labels."""
    found = (s for family in metrics.registry.collect() for s in family.samples if s.name == name)
    return sum(s.value for s in found)


def test_stream__takes_what_is_there_once(world: SchoolWorld) -> None:
    world.create_topics("attendance", "support_tickets")
    world.send(range(100))
    world.send_raw("support_tickets", [(b'{"ticket_id": 1}', 0), (None, 1), (b"\xff", 0)])
    world.take(flush_rows=30)
    world.check_exactly_once()
    world.send(range(100, 120))
    world.take()
    world.take()
    world.check_exactly_once()
    tickets = bronze_rows(world.store, "support_tickets")
    assert sorted(str(row.defect) for row in tickets) == [
        "None",
        "not_an_object: not_utf8",
        "not_an_object: tombstone",
    ]
    assert sample(world.metrics, "lmslake_school_messages_total") == 123
    assert sample(world.metrics, "lmslake_school_landed_rows_total") == 123
    assert sample(world.metrics, "lmslake_school_defects_total") == 2


def test_stream__on_s3(kafka: Kafka, minio: Minio) -> None:
    world = SchoolWorld(kafka, open_store(minio.settings()))
    world.create_topics("attendance")
    world.send(range(50))
    world.take(flush_rows=20)
    world.send(range(50, 60))
    world.take()
    world.check_exactly_once()


def test_stream__sees_what_was_made_since(
    world: SchoolWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streaming.school.SECONDS_BETWEEN_LOOKS", 0.2)
    world.create_topics("students")
    with world.running(world.stream(once=False)):
        wait_until(lambda: world.health.is_ready, "it reads")
        world.create_topics("attendance")
        world.send(range(10))
        world.wait_for_sent()
    world.check_exactly_once()


def test_stream__files_are_landed_meanwhile(world: SchoolWorld, lake_root: Path) -> None:
    world.create_topics("attendance")
    zone = Zone(lake_root)
    with world.running(world.stream(once=False)):
        for number in range(5):
            world.send(range(20 * number, 20 * number + 20))
            zone.put(f"attendance/{number}.csv", f"{GOOD}f{number},s,2025-09-01,P,2025-09-01\n")
            assert [outcome.kind for outcome in zone.land()] == ["landed"]
            world.sent.update(["1", "2", f"f{number}"])
        world.wait_for_sent()
    world.check_exactly_once()


def test_stream__two_at_once_take_each_message_once(world: SchoolWorld) -> None:
    world.create_topics("attendance")
    one, two = (world.stream(once=False) for _ in range(2))
    with world.running(one), world.running(two):
        for first in range(0, 400, 40):
            world.send(range(first, first + 40))
        world.wait_for_sent()
    world.check_exactly_once()


def test_stream__waits_for_another_landing(world: SchoolWorld, lake_root: Path) -> None:
    """Longer than its patience: it lets go, and takes the messages again."""
    world.create_topics("attendance")
    world.send(range(10))
    stream = world.stream(once=False, patience=timedelta(0))
    with LocalStore(lake_root).lease(LEASE), world.running(stream):
        wait_until(lambda: sample(world.metrics, "lmslake_school_store_up") == 0, "it waits")
        assert not world.landed()
    world.take()
    world.check_exactly_once()


def test_stream__tells_what_expired(world: SchoolWorld, caplog: pytest.LogCaptureFixture) -> None:
    world.create_topics("attendance")
    world.send(range(20))
    world.take()
    world.send(range(20, 60))
    world.delete_before(25, partition=1)
    with caplog.at_level(logging.ERROR):
        world.take()
    (said,) = [record.getMessage() for record in caplog.records]
    assert f"LOST: {world.prefix}attendance partition 1: offsets 10 … 24 (15)" in said
    (row,) = [row for row in bronze_rows(world.store) if row.defect]
    assert row.defect == "expired_in_broker: offsets 10 … 24 (15)"
    for number in range(21, 51, 2):
        del world.sent[f"A{number}"]
    world.sent[""] = 1
    world.check_exactly_once()
    assert sample(world.metrics, "lmslake_school_lost_offsets_total") == 15


def test_stream__retention_overtakes_it_while_it_reads(
    world: SchoolWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Positions are read, then the broker removes what follows."""
    world.create_topics("attendance")
    world.send(range(0, 40, 2))
    world.take()
    world.send(range(40, 80, 2))
    stream = world.stream()
    reader = stream._reader
    opened = reader.open

    def open_and_expire() -> None:
        opened()
        if sample(world.metrics, "lmslake_school_lost_offsets_total") == 0:
            world.delete_before(30)

    monkeypatch.setattr(reader, "open", open_and_expire)
    stream.run()
    assert "expired_in_broker: offsets 20 … 29 (10)" in [
        row.defect for row in bronze_rows(world.store)
    ]
    for number in range(40, 60, 2):
        del world.sent[f"A{number}"]
    world.sent[""] = 1
    world.check_exactly_once()


def test_stream__refuses_a_topic_that_was_made_again(world: SchoolWorld, kafka: Kafka) -> None:
    world.create_topics("attendance")
    world.send(range(10))
    world.take()
    topic = f"{world.prefix}attendance"
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    admin.delete_topics([topic])
    wait_until(lambda: topic not in admin.list_topics(), "it is deleted")
    admin.close()
    world.create_topics("attendance")
    with pytest.raises(LakeError, match=r"ends at offset 0, but bronze\.attendance holds"):
        world.take()
    assert len(bronze_rows(world.store)) == 10


def test_stream__says_which_topics_it_wants(world: SchoolWorld) -> None:
    with pytest.raises(LakeError, match=rf"(?s){world.prefix}students, .*--create-topics"):
        world.take()


def test_stream__says_that_kafka_is_away(world: SchoolWorld) -> None:
    with closed_port() as port, pytest.raises(LakeError, match="cannot be reached"):
        world.take(servers=f"127.0.0.1:{port}")


def test_stream__goes_on_after_an_outage_of_the_store(world: SchoolWorld, lake_root: Path) -> None:
    world.create_topics("attendance")
    world.send(range(10))
    with world.running(world.stream(once=False)):
        world.wait_for_sent()
        table = lake_root / "tables/bronze/attendance/_delta_log"
        hidden = table.with_name("hidden")
        table.rename(hidden)
        table.write_text("no folder")
        world.send(range(10, 20))
        wait_until(lambda: sample(world.metrics, "lmslake_school_store_up") == 0, "it is away")
        assert not world.health.is_ready
        table.unlink()
        hidden.rename(table)
        world.wait_for_sent()
        wait_until(lambda: world.health.is_ready, "all is well again")
    world.check_exactly_once()


def test_stream__goes_on_when_kafka_is_back(lake_root: Path, tmp_path: Path) -> None:
    folder, port = tmp_path / "broker", free_port()
    folder.mkdir()
    with running_kafka(folder, port) as kafka:
        world = SchoolWorld(kafka, LocalStore(lake_root))
        world.create_topics("attendance")
        world.send(range(10))
    builder = Failing(0)
    with world.running(world.stream(builder, once=False)):
        wait_until(lambda: sample(world.metrics, "lmslake_school_kafka_up") == 0, "it is away")
        wait_until(lambda: builder.built > 0, "files are built meanwhile")
        with running_kafka(folder, port):
            world.wait_for_sent()
            world.send(range(10, 20))
            world.wait_for_sent()
            assert world.health.is_ready
        wait_until(lambda: sample(world.metrics, "lmslake_school_kafka_up") == 0, "it went away")
        with running_kafka(folder, port):
            world.send(range(20, 30))
            world.wait_for_sent()
    world.check_exactly_once()


class Failing:
    """Builds of which the first ones fail."""

    def __init__(self, failures: int) -> None:
        self.failures, self.built = failures, 0

    def build(self) -> None:
        if self.failures:
            self.failures -= 1
            raise LakeError("the gate stopped it")
        self.built += 1


def test_stream__reads_on_while_builds_fail(
    world: SchoolWorld, caplog: pytest.LogCaptureFixture
) -> None:
    world.create_topics("attendance")
    builder = Failing(3)
    with world.running(world.stream(builder, once=False)):
        wait_until(lambda: builder.failures < 3, "it fails")
        world.send(range(10))
        world.wait_for_sent()
        wait_until(lambda: builder.built > 0 and world.health.is_ready, "it builds")
    told = [r.getMessage() for r in caplog.records if "nothing was built" in r.getMessage()]
    assert len(told) == 1
    with pytest.raises(LakeError, match="the gate stopped it"):
        world.take(builder=Failing(1))


@pytest.mark.slow
def test_records_stream__killed_at_any_instant(world: SchoolWorld, tmp_path: Path) -> None:
    chance = random.Random(SEED)
    world.create_topics("attendance")
    world.send(range(2_000))
    often = {"LMSLAKE_ARCHIVE_FLUSH_RECORDS": "40"}
    kills = 0
    enough = threading.Event()

    def send() -> None:
        first = 10_000
        while not enough.wait(0.2):
            world.send(range(first, first + 100))
            first += 100

    sending = threading.Thread(target=send)
    sending.start()
    try:
        for _ in range(KILLS):
            with world.process(tmp_path / "log", "--interval", "0.5", **often) as running:
                folder = Path(world.store.uri("")) / "tables"
                kills += running.kill_at_work(
                    partial(files_below, folder), chance.randint(1, 9), chance.uniform(0, 0.05)
                )
    finally:
        enough.set()
        sending.join()
    assert kills == KILLS
    with world.process(tmp_path / "log", "--once") as last:
        last.finish()
    world.check_exactly_once()


@pytest.mark.slow
def test_records_stream__sigterm_commits_what_it_holds(world: SchoolWorld, tmp_path: Path) -> None:
    world.create_topics("attendance")
    world.send(range(100))
    pages = Pages(free_port())
    port = {"LMSLAKE_SCHOOL_METRICS_PORT": str(pages.port)}
    with world.process(tmp_path / "log", "--interval", "3600", **port) as running:
        wait_until(lambda: pages.metric("lmslake_school_buffered_rows") == 100, "it holds them")
        wait_until(lambda: pages.is_ready, "it reads")
        assert pages.page("healthz") == "ok\n"
        wait_until(lambda: pages.metric("lmslake_school_lag") == 100, "it tells the lag")
        assert not world.landed()
        os.kill(running._process.pid, signal.SIGTERM)
        assert "100 rows landed from Kafka." in running.finish()
    world.check_exactly_once()


@pytest.mark.slow
def test_records_send__gives_the_rows_of_the_files(world: SchoolWorld, tmp_path: Path) -> None:
    file = tmp_path / "attendance_1.csv"
    file.write_bytes((GOOD + "3,s-3,2025-09-01\n4,,2025-09-02,P,x,more\n").encode("utf-16"))
    bad = tmp_path / "students.csv"
    bad.write_text("id\n1\n")

    def sent(*arguments: str) -> str:
        environment = {
            "LMSLAKE_KAFKA_BOOTSTRAP_SERVERS": world.kafka.bootstrap_servers,
            "LMSLAKE_SCHOOL_TOPICS_PREFIX": world.prefix,
        }
        with Command(("records", "send", *arguments), environment, tmp_path / "sent") as running:
            running._process.wait(300)
            return running.output

    said = sent(str(bad), str(file))
    assert "students.csv: missing_column" in said
    assert "Nothing was sent" in said
    assert "Make it with --create-topics" in sent(str(file))
    assert "4 messages acknowledged." in sent("--create-topics", str(file))
    world.take()
    zone = Zone(tmp_path / "lake")
    by_topic = sorted(map(repr, ((r.fields, r.defect) for r in bronze_rows(world.store))))
    zone.put("attendance/x.csv", file.read_bytes())
    zone.land()
    both = sorted(map(repr, ((r.fields, r.defect) for r in bronze_rows(world.store))))
    assert sorted(by_topic * 2) == both
    assert [row["row_count"] for row in table_rows(zone.store, "bronze.landed_files")]
