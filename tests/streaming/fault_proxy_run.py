"""Outages of the store as one archiver lives through them; minute-long ones by hand:

python -m tests.streaming.fault_proxy_run --seconds 60
"""

from __future__ import annotations

import gzip
import hashlib
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

import click

from lake.ledger import ledger_rows
from lake.storage import ObjectStore, open_store
from tests.services import Kafka, Minio, free_port, running_kafka, running_minio
from tests.streaming.fault_proxy import Fault, FaultProxy, faulty
from tests.streaming.pages import Pages
from tests.streaming.world import ArchiveProcess, World, wait_until

FLUSH_RECORDS = 500
# What one poll can bring on top of a flush that was nearly due (streaming.consumer).
RECORDS_PER_POLL = 2_000
PATIENCE_SECONDS = 600.0
POISON = b'{"event_id":'
# Longer than the clients' own limits: a shorter outage may be over before it is noticed.
LONG_SECONDS = 60.0
# All of a kind at once.
OUTAGES = (
    Fault("error", status=500),
    Fault("error", status=503),
    Fault("refuse"),
    Fault("cut_request"),
    Fault("cut_answer"),
    Fault("lost_answer"),
    Fault("hang"),
)
# It holds up and breaks nothing.
SLOW = Fault("slow")


@dataclass(frozen=True, slots=True)
class Survived:
    """How an outage went; all times in seconds, `noticed` (None: it need not be) and `recovered`
    since its begin and its end."""

    fault: str
    lasted: float
    noticed: float | None
    recovered: float
    most_buffered: int
    struck: int

    @property
    def is_good(self) -> bool:
        """Recovered in less time than a long outage took."""
        return self.lasted < LONG_SECONDS or self.recovered < self.lasted

    def __str__(self) -> str:
        noticed = "" if self.noticed is None else f"noticed after {self.noticed:4.1f} s, "
        return (
            f"{self.fault:12} lasted {self.lasted:5.1f} s, {noticed}"
            f"recovered within {self.recovered:4.1f} s, at most {self.most_buffered:,} records "
            f"held, {self.struck:,} requests struck"
        )


class ProxiedArchive:
    """`lmslake archive` with a proxy between it and its store; `world` sees the store itself."""

    def __init__(self, world: World, proxy: FaultProxy, process: ArchiveProcess, port: int) -> None:
        self.world, self.proxy, self.process = world, proxy, process
        self.poison = 0
        self.most_buffered = 0
        self.pages = Pages(port)
        self._sent = 0
        self._watching = threading.Event()

    def send(self, count: int) -> None:
        """Events, and one record that is none."""
        self.world.send(range(self._sent, self._sent + count))
        self.world.send_raw(POISON, partition=count % 4)
        self._sent += count
        self.poison += 1

    @property
    def has_all(self) -> bool:
        rows = ledger_rows(self.world.zone.ledger.rows(is_quarantine=None))
        return sum(row.record_count for row in rows) >= self._sent + self.poison

    def wait_for_all(self) -> None:
        def is_done() -> bool:
            assert self.process.is_running, self.process.output
            time.sleep(0.2)
            return self.has_all

        wait_until(is_done, "everything is archived", PATIENCE_SECONDS)

    def live_through(self, fault: Fault, seconds: float) -> Survived:
        """The fault goes on for so long, while events come.

        Where it strikes all requests the store is away: asserts that /readyz tells it.
        """
        self.send(400)
        self.wait_for_all()
        wait_until(lambda: self.pages.is_ready, "ready before the outage")
        struck, self.most_buffered = self.proxy.struck.total(), 0
        self.proxy.begin(fault)
        began = time.monotonic()
        self.send(3_000)
        noticed = None
        if fault.share == 1.0 and fault.kind != "slow":
            wait_until(lambda: self.pages.page("readyz") == "503", f"{fault.name} is noticed")
            noticed = time.monotonic() - began
        while time.monotonic() < began + seconds:
            assert self.pages.page("healthz") == "ok\n"
            if noticed is None:
                self.send(100)  # and struck are flushes, one after the other
            time.sleep(0.25)
        self.proxy.end()
        ended = time.monotonic()
        self.wait_for_all()
        wait_until(lambda: self.pages.is_ready, "ready after the outage")
        return Survived(
            fault.name,
            ended - began,
            noticed,
            time.monotonic() - ended,
            self.most_buffered,
            self.proxy.struck.total() - struck,
        )

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Keep the most that it ever says to hold."""

        def watch() -> None:
            while not self._watching.wait(0.1):
                held = int(self.pages.metric("lmslake_archiver_buffered_records"))
                self.most_buffered = max(self.most_buffered, held)

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._watching.set()
            thread.join()

    def finish(self) -> None:
        """Ends it and asserts that every record is in the lake once and no object is half."""
        self.process.signal(signal.SIGTERM)
        assert self.process.wait() == 0, self.process.output
        assert "Traceback" not in self.process.output, self.process.output
        self.world.check_exactly_once()
        quarantined = self.world.zone.quarantined()
        assert [record["raw"] for record in quarantined] == [POISON.decode()] * self.poison
        check_whole(self.world.store)


def check_whole(store: ObjectStore) -> int:
    """Assert that each object, committed or not, is what its name says; gives their number."""
    count = 0
    for key in store.list("events"):
        body = store.get(key)
        digest = key.removesuffix(".jsonl.gz").rpartition("-")[2]
        assert hashlib.sha256(body).hexdigest()[:8] == digest, key
        gzip.decompress(body)
        count += 1
    return count


@contextmanager
def proxied_archive(
    kafka: Kafka, minio: Minio, log: Path, seed: int = 1, **environment: str
) -> Iterator[ProxiedArchive]:
    """A running archiver of a new topic into a new lake behind a proxy without faults;
    `environment` goes on top of its own."""
    prefix, port = uuid4().hex, free_port()
    world = World(kafka, kafka.create_topic(), open_store(minio.settings(prefix)))
    with ExitStack() as stack:
        proxy, front = stack.enter_context(faulty(minio, seed))
        process = world.process(
            log,
            **{
                **front.environment(),
                "LMSLAKE_METRICS_PORT": str(port),
                "LMSLAKE_ARCHIVE_FLUSH_RECORDS": str(FLUSH_RECORDS),
                "LMSLAKE_ARCHIVE_FLUSH_SECONDS": "0.5",
                **environment,
            },
        )
        stack.enter_context(process)
        archive = ProxiedArchive(world, proxy, process, port)
        stack.enter_context(archive.watched())
        yield archive


@click.command()
@click.option("--seconds", default=60.0, help="How long each outage lasts.")
@click.option("--only", default="", help="Names of faults, separated by commas; all without it.")
@click.option(
    "--share",
    type=click.FloatRange(0, 1, min_open=True),
    default=1.0,
    show_default=True,
    help="Share of the requests that go wrong; with 1 the store is away.",
)
def main(seconds: float, only: str, share: float) -> None:
    """Let a store go wrong before an archiver, once in each way, and see that nothing is lost.

    Exit code 1 where the archiver recovers from a fault of a minute or more in no less time than
    it took.

    \b
    Examples:
      python -m tests.streaming.fault_proxy_run
      python -m tests.streaming.fault_proxy_run --share 0.1
      python -m tests.streaming.fault_proxy_run --seconds 120 --only hang,error_503
    """
    known = {fault.name: replace(fault, share=share) for fault in (*OUTAGES, SLOW)}
    wanted = only.split(",") if only else list(known)
    if unknown := sorted(set(wanted) - known.keys()):
        raise click.UsageError(f"no such fault: {', '.join(unknown)}")
    is_good = True
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        places = [Path(folder) / name for name in ("kafka", "minio")]
        for place in places:
            place.mkdir()
        kafka = stack.enter_context(running_kafka(places[0]))
        minio = stack.enter_context(running_minio(places[1]))
        archive = stack.enter_context(proxied_archive(kafka, minio, Path(folder) / "log"))
        try:
            for name in wanted:
                survived = archive.live_through(known[name], seconds)
                is_good &= survived.is_good
                click.echo(f"{survived}{'' if survived.is_good else '   TOO SLOW'}")
            archive.finish()
        except AssertionError:
            click.echo(archive.process.output, err=True)
            raise
    click.echo("Every record is in the lake once; no object is half.")
    sys.exit(not is_good)


if __name__ == "__main__":
    main()
