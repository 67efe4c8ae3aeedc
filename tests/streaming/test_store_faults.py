"""A store that answers wrongly, late, half or not at all, and a disk that is full."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lake.audit import audit
from lake.pipelines.journal import Journal
from lake.pipelines.pending import has_work
from lake.settings import Settings
from lake.storage import LeaseHeld, open_store
from lake.storage_local import LocalStore
from tests.chaos.programs import Program
from tests.lake.raw_zone import RawZone
from tests.pipelines.killing import SMALL_JVM
from tests.pipelines.lakes import four_days
from tests.services import Kafka, Minio, free_port
from tests.streaming.fault_proxy import Fault, FaultKind, faulty
from tests.streaming.fault_proxy_run import (
    FLUSH_RECORDS,
    OUTAGES,
    RECORDS_PER_POLL,
    check_whole,
    proxied_archive,
)
from tests.streaming.pages import Pages
from tests.streaming.world import LONG_SESSION_SECONDS, World, in_background, wait_until

pytestmark = [pytest.mark.services, pytest.mark.slow]

SEED = 20_250_307
# A silence is noticed after ten seconds (streaming.flushing), all others with the first refusal.
OUTAGE_SECONDS = {"hang": 14.0}
SHORT_SECONDS = 5.0
STREAM_FAULTS = (Fault("error", status=503), Fault("cut_answer"))
STREAM_FAULT_SECONDS = 3.0
COMMIT = r"PUT .*/_delta_log/\d{20}\.json"
TENTHS = (
    Fault("error", 0.1, status=500),
    Fault("error", 0.1, status=503),
    Fault("refuse", 0.1),
    Fault("cut_request", 0.1),
    Fault("cut_answer", 0.1),
    Fault("lost_answer", 0.1),
    Fault("late_error", 0.1),
    Fault("slow", 0.1),
    Fault("hang", 0.1),
)


def test_archive__a_tenth_of_the_requests_goes_wrong(
    kafka: Kafka, minio: Minio, tmp_path: Path
) -> None:
    with proxied_archive(kafka, minio, tmp_path / "log", SEED) as archive:
        for fault in TENTHS:
            archive.proxy.begin(fault)
            while not archive.proxy.struck[fault.name]:
                archive.send(400)
                archive.wait_for_all()
        archive.proxy.end()
        archive.send(100)
        archive.wait_for_all()
        wait_until(lambda: archive.pages.is_ready, "ready")
        assert archive.most_buffered <= FLUSH_RECORDS + RECORDS_PER_POLL
        archive.finish()


@pytest.mark.parametrize("fault", OUTAGES, ids=[fault.name for fault in OUTAGES])
def test_archive__the_whole_store_is_away(
    fault: Fault, kafka: Kafka, minio: Minio, tmp_path: Path
) -> None:
    with proxied_archive(kafka, minio, tmp_path / "log", SEED) as archive:
        survived = archive.live_through(fault, OUTAGE_SECONDS.get(fault.name, SHORT_SECONDS))
        print(survived)
        assert survived.most_buffered <= FLUSH_RECORDS + RECORDS_PER_POLL
        archive.finish()
        output = archive.process.output
        assert output.count("The store of the lake is not available") >= 1, output
        assert "The store of the lake is available again" in output


def test_stream__outlives_faults_of_the_store(minio: Minio, tmp_path: Path) -> None:
    lines, pages = sorted(four_days()), Pages(free_port())
    direct = minio.settings()
    zone = RawZone(open_store(direct))
    with faulty(minio) as (proxy, front):
        environment = {
            **os.environ,
            **front.environment(),
            "LMSLAKE_ROOT": direct.root,
            "LMSLAKE_PSEUDONYM_KEY": "a key of the tests, no secret",
            "LMSLAKE_STREAM_METRICS_PORT": str(pages.port),
            "JAVA_TOOL_OPTIONS": SMALL_JVM,
        }
        program = Path(sys.executable).with_name("lmslake")
        stream = Program(
            "stream", [str(program), "stream", "--interval", "1"], environment, tmp_path / "log"
        )

        def is_built() -> bool:
            time.sleep(0.5)
            assert stream.is_running, stream.output
            return not has_work(zone.ledger, Journal(zone.store))

        try:
            stream.start()
            wait_until(lambda: pages.is_ready, "it runs")
            file = tmp_path / "events.jsonl"
            file.write_bytes(b"\n".join(lines))
            zone.ingest(file)
            for fault in STREAM_FAULTS:
                proxy.begin(fault)
                wait_until(lambda f=fault: proxy.struck[f.name] > 0, "it is felt")  # type: ignore[misc]
                time.sleep(STREAM_FAULT_SECONDS)
            proxy.end()
            wait_until(is_built, "everything is built")
            assert stream.stop() == 0, stream.output
        finally:
            stream.clear_away()
    assert "\nTraceback" not in stream.output, stream.output
    outcome = audit(direct)
    assert outcome.is_proven, outcome
    assert outcome.received == len(lines)
    assert not any(line.pending for line in outcome.lines)


@pytest.mark.parametrize("kind", ["lost_answer", "late_error"])
def test_archive__answer_to_a_commit_is_lost(
    kind: FaultKind, kafka: Kafka, minio: Minio, tmp_path: Path
) -> None:
    """The store has committed the flush and the archiver hears that it has not."""
    # Who loses its partitions meanwhile does not count what its next owner finds in the ledger.
    session = str(LONG_SESSION_SECONDS)
    with proxied_archive(
        kafka, minio, tmp_path / "log", LMSLAKE_KAFKA_SESSION_TIMEOUT_SECONDS=session
    ) as archive:
        archive.send(400)
        archive.wait_for_all()
        for _ in range(3):
            fault = Fault(kind, concerns=COMMIT, times=1)
            archive.proxy.begin(fault)
            struck = archive.proxy.struck[fault.name]
            archive.send(400)
            archive.wait_for_all()
            assert archive.proxy.struck[fault.name] == struck + 1
        sent = archive.world.sent.total()
        wait_until(
            lambda: archive.pages.metric("lmslake_archiver_archived_total") == sent,
            "each is counted once",
        )
        assert archive.pages.metric("lmslake_archiver_stale_flushes_total") == 0
        archive.finish()
        assert "another archiver" not in archive.process.output


def test_put__slow_way_is_no_outage(minio: Minio, monkeypatch: pytest.MonkeyPatch) -> None:
    # Less than all of the body takes, and far more than a block of it.
    monkeypatch.setattr("lake.storage_s3.CONNECT_SECONDS", 5)
    body = os.urandom(800_000)
    settings = minio.settings()
    with faulty(minio) as (proxy, front):
        store = open_store(front.settings(settings.root.rpartition("/")[2]))
        proxy.begin(Fault("slow", bytes_per_second=100_000))
        store.put("events/a", body)
        assert proxy.struck["slow"] == 1
    assert open_store(settings).get("events/a") == body


def test_get__answers_that_break_off_are_read_again(minio: Minio) -> None:
    body = os.urandom(300_000)
    with faulty(minio) as (proxy, front):
        store = open_store(front.settings())
        store.put("events/a", body)
        proxy.begin(Fault("cut_answer", times=3))
        assert store.get("events/a") == body
        assert proxy.struck["cut_answer"] == 3


def test_put__store_that_does_not_answer_is_asked_again(
    minio: Minio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lake.storage_s3.ANSWER_SECONDS", 5)
    with faulty(minio) as (proxy, front):
        store = open_store(front.settings())
        proxy.begin(Fault("hang", times=2))
        store.put("events/a", b"body")
        assert store.get("events/a") == b"body"
        assert proxy.struck["hang"] == 2


LOCK = "PUT .*/_locks/|CONNECT"


@pytest.mark.parametrize("kind", ["lost_answer", "late_error"])
def test_lease__lost_answer_does_not_lock_its_owner_out(kind: FaultKind, minio: Minio) -> None:
    with faulty(minio) as (proxy, front):
        settings = front.settings()
        proxy.begin(Fault(kind, concerns=LOCK, times=1))
        with open_store(settings).lease("build") as lease:
            assert proxy.struck.total() == 1
            lease.check()
            with (
                pytest.raises(LeaseHeld, match="Another process holds"),
                open_store(settings).lease("build"),
            ):
                pass
        with open_store(settings).lease("build"):
            pass


@pytest.mark.parametrize("kind", ["error", "lost_answer", "late_error", "refuse"])
def test_lease__outlasts_a_short_outage(
    kind: FaultKind,
    minio: Minio,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("lake.lease_s3.HEARTBEAT_SECONDS", 0.05)
    with faulty(minio) as (proxy, front):
        settings = front.settings()
        with open_store(settings).lease("build") as lease:
            proxy.begin(Fault(kind, concerns=LOCK))
            wait_until(lambda: "the heartbeat of lock build failed" in caplog.text, "it is felt")
            proxy.end()
            before = beats_of(minio, settings)
            wait_until(lambda: beats_of(minio, settings) != before, "a heartbeat after it")
            lease.check()


def test_lease__holder_that_is_not_heard_gives_it_up(
    minio: Minio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lake.lease_s3.HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr("lake.lease_s3.LONGEST_SILENCE_SECONDS", 1)
    with faulty(minio) as (proxy, front), open_store(front.settings()).lease("build") as lease:
        proxy.begin(Fault("error", concerns=LOCK))

        def is_lost() -> bool:
            try:
                lease.check()
            except LeaseHeld as error:
                return "no heartbeat reached the store" in str(error)
            return False

        wait_until(is_lost, "the holder knows that others may have it")
        proxy.end()


def beats_of(minio: Minio, settings: Settings) -> bytes:
    """What the holder of the lock has written last, asked of the store itself."""
    return open_store(minio.settings(settings.root.rpartition("/")[2])).get("_locks/build")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """An empty file system of 4 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True)
        fault = (done.stderr.strip() or f"exit code {done.returncode}") if done.returncode else None
    except OSError as error:
        fault = str(error)
    # Never go on without it: the tests fill it to the last byte.
    if fault is not None:
        message = f"no small file system can be mounted here: {fault}"
        if os.environ.get("CI") == "true":
            pytest.fail(message, pytrace=False)
        pytest.skip(message)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path, leave: int) -> Path:
    """A file that takes all of the disk but `leave` bytes."""
    ballast = disk / ".ballast"
    room = os.statvfs(disk)
    ballast.write_bytes(bytes(max(0, room.f_bavail * room.f_frsize - leave)))
    return ballast


def test_archive__disk_is_full(
    small_disk: Path, kafka: Kafka, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "streaming")
    store = LocalStore(small_disk / "lake")
    world = World(kafka, kafka.create_topic(), store)
    archiver = world.archiver(flush_records=500, flush_seconds=0.2)
    with in_background(archiver) as failures:
        world.send(range(100))
        wait_until(lambda: world.zone.lines() == world.sent, "the first records")
        wait_until(lambda: archiver.health.is_ready, "ready before it")
        # Full at once, and with room for some of what a flush writes: objects, rows, the commit.
        sent = 100
        for leave in (0, 8_192, 24_576, 40_960, 81_920):
            ballast = fill(small_disk, leave)
            while archiver.health.is_ready:
                world.send(range(sent, sent + 500))
                sent += 500
                time.sleep(0.2)
            time.sleep(1)
            assert archiver.health.is_alive
            check_whole(store)
            ballast.unlink()
            wait_until(lambda: world.zone.lines() == world.sent, "everything")
            wait_until(lambda: archiver.health.is_ready, "ready")
    assert failures == []
    world.check_exactly_once()
    check_whole(store)
    assert not list(small_disk.rglob(".put-*"))
    assert "No space left on device" in caplog.text
    assert "is available again" in caplog.text
