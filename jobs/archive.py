"""`lmslake archive`: take events from Kafka to the raw zone."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from jobs.cli import run

if TYPE_CHECKING:
    from kafka import KafkaConsumer, TopicPartition

    from lake.settings import Settings
    from streaming.options import ArchiveOptions, ArchiveProgress

CONNECT_ATTEMPTS_ONCE = 2

AddCall = Callable[[Callable[[], None]], None]


@click.command()
@click.option("--once", is_flag=True, help="End when all that was in Kafka at the start is taken.")
def command(once: bool) -> None:
    """Take events from Kafka to the raw zone.

    Every record of the topics is validated and ends, once, in the raw zone or with a reason in
    quarantine. Several archivers share the partitions as a consumer group; where each goes on is
    read from the ledger (bronze.raw_objects), so one may be killed at any moment. While the store
    or Kafka is away the archiver waits and goes on by itself. SIGTERM and Ctrl-C flush what is
    held, then end; a second one ends at once.

    \b
    Settings (all: lmslake settings):
      LMSLAKE_KAFKA_BOOTSTRAP_SERVERS   brokers, HOST:PORT separated by commas
      LMSLAKE_KAFKA_TOPICS              topics, separated by commas; they must exist
      LMSLAKE_KAFKA_SECURITY_PROTOCOL   PLAINTEXT, SSL, SASL_SSL; and LMSLAKE_KAFKA_SASL_…, _SSL_…
      LMSLAKE_METRICS_PORT              /metrics, /healthz and /readyz

    \b
    Examples:
      lmslake archive                       without end
      lmslake archive --once                up to now, then end: for a scheduler
      lmslake quarantine list               what was refused, and why
      lmslake build                         raw to silver, gold and features
    """
    from lake.ledger import Ledger
    from lake.settings import Settings
    from lake.storage import open_store
    from streaming.archiver import Archiver
    from streaming.consumer import KafkaOptions
    from streaming.monitoring import ArchiverMetrics, Health

    settings = Settings.from_env()
    _log_to_stderr()
    store = open_store(settings)
    metrics, health = ArchiverMetrics(), Health()
    with _monitored(settings, metrics, health), _stopping_on_signals() as (stopping, call_at_stop):
        connected = _connected(KafkaOptions.from_settings(settings), settings, once, stopping)
        if connected is None:
            return
        consumer, ends = connected
        options = archive_options(settings)
        archiver = Archiver(
            consumer, store, Ledger(store), options, metrics, health, _print_progress
        )
        call_at_stop(archiver.stop)
        archiver.run(ends if once else None)
        _print_progress(archiver.progress())


def archive_options(settings: Settings) -> ArchiveOptions:
    """The options that the settings ask for."""
    from lake.validation import Limits
    from streaming.options import ArchiveOptions

    return ArchiveOptions(
        topics=settings.topics,
        limits=Limits(settings.max_clock_skew, settings.max_event_age),
        max_record_bytes=settings.max_record_bytes,
        flush_bytes=settings.archive_flush_bytes,
        flush_records=settings.archive_flush_records,
        flush_seconds=settings.archive_flush_seconds,
    )


@contextmanager
def _monitored(settings: Settings, metrics: Any, health: Any) -> Iterator[None]:
    from streaming.monitoring import MonitoringServer

    if settings.metrics_port == 0:
        yield
        return
    server = MonitoringServer(settings.metrics_host, settings.metrics_port, metrics, health)
    try:
        yield
    finally:
        server.close()


@contextmanager
def _stopping_on_signals() -> Iterator[tuple[threading.Event, AddCall]]:
    """An event that the first SIGTERM or SIGINT sets; the second one ends the process.

    The function that comes with it adds what else is to be called then (at once, where the signal
    has come already).
    """
    stopping = threading.Event()
    calls: list[Callable[[], None]] = []

    def stop(*_: object) -> None:
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, signal.SIG_DFL)
        stopping.set()
        for call in calls:
            call()

    def add(call: Callable[[], None]) -> None:
        calls.append(call)
        if stopping.is_set():
            call()

    before = {name: signal.signal(name, stop) for name in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stopping, add
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def _connected(
    options: Any, settings: Settings, once: bool, stopping: threading.Event
) -> tuple[KafkaConsumer, dict[TopicPartition, int]] | None:
    """A consumer and where each partition ends now; waits for Kafka. None after a signal.

    With `once` it does not wait long. Raises LakeError.
    """
    from kafka.errors import KafkaError
    from tenacity import (
        Retrying,
        retry_if_exception,
        stop_after_attempt,
        stop_when_event_set,
        wait_random_exponential,
    )
    from tenacity.nap import sleep_using_event

    from lake.errors import LakeError
    from streaming.consumer import is_unavailable, open_consumer, partitions_of
    from streaming.outages import Outage, failure_of

    outage = Outage(f"Kafka at {options.bootstrap_servers}")

    def connect() -> tuple[KafkaConsumer, dict[TopicPartition, int]]:
        consumer = open_consumer(options)
        try:
            return consumer, consumer.end_offsets(partitions_of(consumer, list(settings.topics)))
        except BaseException:
            consumer.close()
            raise

    stop: Any = stop_when_event_set(stopping)
    if once:
        stop |= stop_after_attempt(CONNECT_ATTEMPTS_ONCE)
    retrying = Retrying(
        retry=retry_if_exception(is_unavailable),
        wait=wait_random_exponential(max=30),
        sleep=sleep_using_event(stopping),
        stop=stop,
        before_sleep=lambda state: outage.begins(failure_of(state)),
        reraise=True,
    )
    try:
        connected = retrying(connect)
    except KafkaError as error:
        if stopping.is_set():
            return None
        raise LakeError(
            f"Kafka at {options.bootstrap_servers} cannot be reached: {type(error).__name__}\n"
            "  Is it running? Check LMSLAKE_KAFKA_BOOTSTRAP_SERVERS and …_SECURITY_PROTOCOL."
        ) from None
    outage.ends()
    return connected


def _log_to_stderr() -> None:
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
    )
    # kafka-python tells every attempt; the archiver tells what changes.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    for chatty in ("botocore", "boto3", "urllib3", "lake.ledger"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _print_progress(progress: ArchiveProgress) -> None:
    rate = progress.records / max(progress.seconds, 1e-9)
    click.echo(
        f"{progress.records:,} records taken ({rate:,.0f}/s), {progress.events:,} in raw, "
        f"{progress.rejected:,} in quarantine, lag {progress.lag:,}",
        err=True,
    )


if __name__ == "__main__":
    run(command)
