"""`lmslake archive` as processes that are killed, paused, stopped and joined by others."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.pipelines.killing import files_below
from tests.services import Minio, closed_port, free_port
from tests.streaming.pages import Pages
from tests.streaming.world import LONG_SESSION_SECONDS, SESSION_SECONDS, World, wait_until

pytestmark = [pytest.mark.services, pytest.mark.slow]

SEED = 20_241_103
KILLS = 12
OFTEN = {"LMSLAKE_ARCHIVE_FLUSH_RECORDS": "150", "LMSLAKE_ARCHIVE_FLUSH_SECONDS": "0.3"}


@contextmanager
def sending(world: World, per_second: int) -> Iterator[threading.Event]:
    """Events come all the time; set the event to end it, leave the block to wait for the last."""
    enough = threading.Event()

    def send() -> None:
        first = 1_000_000
        while not enough.wait(0.25):
            world.send(range(first, first + per_second // 4))
            first += per_second // 4

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield enough
    finally:
        enough.set()
        thread.join()


def test_archive__killed_at_any_instant(world: World, tmp_path: Path) -> None:
    chance = random.Random(SEED)
    world.send(range(20_000))
    places = [Path(world.store.uri("")) / p for p in ("events", "tables/bronze/raw_objects")]
    kills = 0
    with sending(world, 400):
        for number in range(KILLS):
            before = sum(map(files_below, places))
            more = chance.randint(1, 12)
            # Mostly groups of their own: nobody waits for a dead member's session to end.
            group = world.topic if number % 6 == 5 else f"{world.topic}-{number}"
            with world.process(tmp_path / "log", LMSLAKE_KAFKA_GROUP_ID=group, **OFTEN) as archiver:
                wait_until(
                    lambda b=before, m=more: sum(map(files_below, places)) >= b + m,  # type: ignore[misc]
                    "new objects",
                )
                time.sleep(chance.uniform(0, 0.05))
                kills += archiver.is_running
                archiver.signal(signal.SIGKILL)
                archiver.wait()
    assert kills == KILLS
    with world.process(tmp_path / "log", "--once") as archiver:
        assert archiver.wait() == 0, archiver.output
    world.check_exactly_once()


def test_archive__instances_come_and_go(world: World, tmp_path: Path) -> None:
    with sending(world, 400), ExitStack() as running:
        processes = []
        for number in range(3):
            pages = Pages(free_port())
            ports = {"LMSLAKE_METRICS_PORT": str(pages.port)}
            process = world.process(tmp_path / f"log-{number}", **OFTEN, **ports)
            processes.append(running.enter_context(process))
            wait_until(lambda p=pages: p.is_ready, "it is in the group")  # type: ignore[misc]
            time.sleep(1)
        processes[0].signal(signal.SIGTERM)
        assert processes[0].wait() == 0, processes[0].output
        time.sleep(2)
        processes[1].signal(signal.SIGKILL)
        time.sleep(SESSION_SECONDS + 2)
        processes[2].signal(signal.SIGINT)
        assert processes[2].wait() == 0, processes[2].output
    with world.process(tmp_path / "log", "--once") as last:
        assert last.wait() == 0, last.output
    world.check_exactly_once()


def test_archive__paused_one_that_wakes_up_doubles_nothing(world: World, tmp_path: Path) -> None:
    def archived() -> int:
        return world.zone.ledger.rows().num_rows

    # The zombie holds records that it has not flushed.
    pages = Pages(free_port())
    long = {"LMSLAKE_ARCHIVE_FLUSH_SECONDS": "8", "LMSLAKE_METRICS_PORT": str(pages.port)}
    with world.process(tmp_path / "zombie", **long) as zombie:
        world.send(range(100))
        wait_until(lambda: archived() > 0, "the zombie archives")
        world.send(range(100, 500))
        wait_until(lambda: pages.metric("lmslake_archiver_buffered_records") > 0, "it holds some")
        zombie.signal(signal.SIGSTOP)
        with world.process(tmp_path / "heir", **OFTEN) as heir:
            wait_until(lambda: world.zone.lines() == world.sent, "the heir has taken over")
            world.send(range(500, 900))
            wait_until(lambda: world.zone.lines() == world.sent, "the heir goes on")
            zombie.signal(signal.SIGCONT)
            world.send(range(900, 1_300))
            time.sleep(SESSION_SECONDS)
            world.send(range(1_300, 1_700))
            wait_until(lambda: world.zone.lines() == world.sent, "both go on")
            for archiver in (zombie, heir):
                archiver.signal(signal.SIGTERM)
                assert archiver.wait() == 0, archiver.output
    world.check_exactly_once()


def test_archive__sigterm_flushes_what_it_holds(world: World, tmp_path: Path) -> None:
    pages = Pages(free_port())
    page = pages.page
    rarely = {
        "LMSLAKE_ARCHIVE_FLUSH_SECONDS": "3600",
        "LMSLAKE_METRICS_PORT": str(pages.port),
        "LMSLAKE_KAFKA_SESSION_TIMEOUT_SECONDS": str(LONG_SESSION_SECONDS),
    }
    with world.process(tmp_path / "log", **rarely) as archiver:
        world.send(range(1_000))
        held = "lmslake_archiver_buffered_records 1000.0"
        wait_until(lambda: held in page("metrics"), "1,000 records are held")
        wait_until(lambda: f'partition="3",topic="{world.topic}"}} 250.0' in page("metrics"), "lag")
        assert (page("healthz"), page("readyz"), page("other")) == ("ok\n", "ok\n", "404")
        assert world.zone.ledger.rows().num_rows == 0
        archiver.signal(signal.SIGTERM)
        assert archiver.wait() == 0, archiver.output
    world.check_exactly_once()
    assert "1,000 in raw" in archiver.output
    assert "Traceback" not in archiver.output


def test_archive__port_that_is_taken_is_named(world: World, tmp_path: Path) -> None:
    port = str(free_port())
    with world.process(tmp_path / "a", LMSLAKE_METRICS_PORT=port) as first:
        wait_until(lambda: Pages(int(port)).page("healthz") == "ok\n", "the first listens")
        with world.process(tmp_path / "b", LMSLAKE_METRICS_PORT=port) as second:
            assert second.wait() == 1
            assert "Set LMSLAKE_METRICS_PORT" in second.output
            assert "Traceback" not in second.output
        assert first.is_running


@pytest.mark.parametrize("what", ["KAFKA_BOOTSTRAP_SERVERS", "S3_ENDPOINT"])
def test_archive__waits_for_what_is_away_until_it_is_told_to_end(
    what: str, world: World, tmp_path: Path
) -> None:
    with closed_port() as port:
        where = f"127.0.0.1:{port}"
        nowhere = {"LMSLAKE_KAFKA_BOOTSTRAP_SERVERS": where}
        if what == "S3_ENDPOINT":
            nowhere = Minio(f"http://{where}", "a user", "a secret").environment()
            nowhere["LMSLAKE_ROOT"] = "s3a://lake/here"
        with world.process(tmp_path / "log", **nowhere) as archiver:
            wait_until(lambda: "is not available" in archiver.output, "it says so")
            archiver.signal(signal.SIGTERM)
            assert archiver.wait() == 0, archiver.output
        assert archiver.output.count("is not available") == 1
        assert "Traceback" not in archiver.output
        with world.process(tmp_path / "once", "--once", **nowhere) as once:
            assert once.wait() == 1
    assert f"LMSLAKE_{what}" in once.output
    assert "Traceback" not in once.output
