"""Stores and brokers that go away and come back: bounded memory, recovery without a hand."""

from __future__ import annotations

import logging
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from kafka import KafkaConsumer

from lake.errors import LakeError
from lake.storage import open_store
from lake.storage_local import LocalStore
from tests.services import Kafka, running_kafka, running_minio
from tests.streaming.world import (
    NEVER_SECONDS,
    SESSION_SECONDS,
    World,
    in_background,
    is_away,
    outages_in,
    wait_until,
)

pytestmark = [pytest.mark.services, pytest.mark.slow]


class FailingStore(LocalStore):
    """A store whose disk is full while `is_down`."""

    is_down = False
    attempts = 0

    def put(self, key: str, body: bytes) -> None:
        if self.is_down:
            self.attempts += 1
            raise OSError(28, "No space left on device")
        super().put(key, body)


def test_archive__store_goes_away_and_comes_back(
    kafka: Kafka,
    lake_root: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # No outage but ours: a slow disk is none.
    monkeypatch.setattr("streaming.flushing.SILENT_SECONDS", NEVER_SECONDS)
    monkeypatch.setattr("streaming.broker_watch.SECONDS_BETWEEN_QUESTIONS", 0.5)
    store = FailingStore(lake_root)
    world = World(kafka, kafka.create_topic(), store)
    archiver = world.archiver(flush_records=1_000, flush_seconds=0.2)
    caplog.set_level(logging.INFO, "streaming")
    with in_background(archiver) as failures:
        world.send(range(200))
        wait_until(lambda: world.zone.lines() == world.sent, "the first records")
        wait_until(lambda: archiver.health.is_ready, "ready")
        store.is_down = True
        world.send(range(200, 20_200))
        wait_until(lambda: store.attempts >= 4, "several attempts")
        assert not archiver.health.is_ready
        assert archiver.health.is_alive
        # What is held is at most the flush and one poll more; the rest waits in Kafka.
        assert archiver.progress().records <= 200 + 1_000 + 2_000
        assert archiver._consumer.assignment()
        wait_until(lambda: archiver.progress().lag == 20_000, "the lag tells all that waits")
        store.is_down = False
        wait_until(lambda: world.zone.lines() == world.sent, "everything")
        wait_until(lambda: archiver.health.is_ready, "ready again")
    assert failures == []
    world.check_exactly_once()
    changes = [r.getMessage() for r in caplog.records if "The store of the lake" in r.getMessage()]
    assert len(changes) == 2
    assert "No space left on device" in changes[0]
    assert "is available again" in changes[1]


def test_archive__ends_in_time_while_the_store_is_away(
    kafka: Kafka, lake_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streaming.archiver.STOP_SECONDS", 2.0)
    store = FailingStore(lake_root)
    world = World(kafka, kafka.create_topic(), store)
    world.send(range(100))
    store.is_down = True
    archiver = world.archiver(flush_seconds=0.1)
    with in_background(archiver) as failures:
        wait_until(lambda: store.attempts > 0, "an attempt")
        asked = time.monotonic()
    assert time.monotonic() - asked < 60
    (failure,) = failures
    assert isinstance(failure, LakeError)
    assert "is taken again by the next start" in str(failure)
    store.is_down = False
    world.archive_once()
    world.check_exactly_once()


def _only_child(name: str) -> psutil.Process:
    (found,) = [
        child
        for child in psutil.Process().children()
        if any(name in part for part in child.cmdline())
    ]
    return found


def test_archive__minio_is_killed_and_started_again(kafka: Kafka, tmp_path: Path) -> None:
    with running_minio(tmp_path) as minio:
        process = _only_child(str(tmp_path / "data"))
        command, environment = process.cmdline(), process.environ()
        world = World(kafka, kafka.create_topic(), open_store(minio.settings()))
        archiver = world.archiver(flush_records=500, flush_seconds=0.5)
        again: subprocess.Popen[bytes] | None = None
        try:
            with in_background(archiver) as failures:
                world.send(range(1_000))
                wait_until(lambda: archiver.progress().events == 1_000, "the first records")
                process.kill()
                world.send(range(1_000, 6_000))
                wait_until(lambda: not archiver.health.is_ready, "it notices")
                time.sleep(3)
                again = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
                wait_until(lambda: archiver.progress().events == 6_000, "everything")
            assert failures == []
            world.check_exactly_once()
        finally:
            if again is not None:
                again.kill()
                again.wait()


def test_archive__kafka_stands_still_and_goes_on(
    tmp_path: Path, lake_root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "streaming")
    with running_kafka(tmp_path) as kafka:
        broker = _only_child(str(tmp_path / "server.properties"))
        world = World(kafka, kafka.create_topic(), LocalStore(lake_root))
        archiver = world.archiver(SESSION_SECONDS, flush_seconds=0.2)
        with in_background(archiver) as failures:
            world.send(range(500))
            wait_until(lambda: world.zone.lines() == world.sent, "the first records")
            wait_until(lambda: not is_away(caplog.messages, "Kafka"), "the broker is quick enough")
            wait_until(lambda: archiver.health.is_ready, "ready")
            broker.suspend()
            try:
                wait_until(lambda: is_away(caplog.messages, "Kafka"), "it notices")
                wait_until(lambda: not archiver.health.is_ready, "it says so")
                time.sleep(5)
                assert archiver.health.is_alive
            finally:
                broker.resume()
            world.send(range(500, 1_000))
            wait_until(lambda: world.zone.lines() == world.sent, "everything")
            wait_until(lambda: not is_away(caplog.messages, "Kafka"), "it says so")
            wait_until(lambda: archiver.health.is_ready, "ready again")
        assert failures == []
        world.check_exactly_once()
    assert outages_in(caplog.messages, "Kafka")


def test_archive_once__kafka_is_killed_in_mid_run(tmp_path: Path, lake_root: Path) -> None:
    places = tmp_path / "kafka", tmp_path / "log"
    places[0].mkdir()
    # One flush for each poll; what one partition's fetch brings is far from all of it.
    often = {"LMSLAKE_ARCHIVE_FLUSH_RECORDS": "1"}
    with running_kafka(places[0]) as kafka:
        world = World(kafka, kafka.create_topic(), LocalStore(lake_root))
        world.send(range(100_000), partitions=1)
        with world.process(places[1], "--once", **often) as once:
            wait_until(lambda: world.zone.ledger.rows().num_rows > 0, "a first flush")
            _only_child(str(places[0] / "server.properties")).kill()
            assert once.wait() == 1
    assert re.search(r"has not answered for \d+ s", once.output)
    assert "the next start goes on from there" in once.output
    assert "Traceback" not in once.output
    taken = world.zone.lines()
    assert 0 < sum(taken.values()) < 100_000
    assert taken <= world.sent
    with running_kafka(places[0], int(kafka.bootstrap_servers.split(":")[1])):
        with world.process(places[1], "--once") as again:
            assert again.wait() == 0, again.output
        world.check_exactly_once()


def test_archive_once__kafka_goes_away_before_it_gave_a_partition(
    tmp_path: Path, lake_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_kafka(tmp_path) as kafka:
        world = World(kafka, kafka.create_topic(), LocalStore(lake_root))
        world.send(range(10))
        archiver, ends = world.archiver(), world.ends()
        broker = _only_child(str(tmp_path / "server.properties"))
        broker.suspend()
        said = f"{kafka.bootstrap_servers} has not answered"
        try:
            with monkeypatch.context() as hasty:
                hasty.setattr("streaming.archiver.PATIENCE_ONCE_SECONDS", 2.0)
                hasty.setattr("streaming.broker_watch.SECONDS_BETWEEN_QUESTIONS", 0.5)
                with pytest.raises(LakeError, match=said):
                    archiver.run(ends)
        finally:
            broker.resume()
        world.archive_once()
        world.check_exactly_once()


def test_archive__other_errors_of_kafka_end_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kafka.errors import TopicAuthorizationFailedError

    archiver = world.archiver()

    def refused(*_: Any, **__: Any) -> None:
        raise TopicAuthorizationFailedError({world.topic})

    monkeypatch.setattr(KafkaConsumer, "poll", refused)
    with pytest.raises(LakeError, match="needs READ"):
        archiver.run()
