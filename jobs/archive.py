"""`lmslake archive`: take events from Kafka to the raw zone."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import click

from jobs.cli import run
from jobs.long_running import awaited_store, log_to_stderr, stopping_on_signals

if TYPE_CHECKING:
    from kafka import KafkaConsumer, TopicPartition

    from lake.settings import Settings
    from streaming.options import ArchiveOptions, ArchiveProgress


@click.command()
@click.option(
    "--once",
    is_flag=True,
    help="End when all that was in Kafka at the start is taken; wait neither for Kafka nor for the "
    "store for long.",
)
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
    from streaming.archiver import Archiver
    from streaming.consumer import KafkaOptions
    from streaming.monitoring import ArchiverMetrics, Health, monitored

    settings = Settings.from_env()
    log_to_stderr()
    metrics, health = ArchiverMetrics(), Health()
    with (
        monitored(settings.metrics_host, settings.metrics_port, metrics.registry, health),
        stopping_on_signals() as (stopping, call_at_stop),
    ):
        store = awaited_store(settings, stopping, once=once, beat=health.beat)
        if store is None:
            return
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

    from streaming.consumer import (
        ATTEMPTS_ONCE,
        is_unavailable,
        open_consumer,
        partitions_of,
        unreachable,
    )
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
        stop |= stop_after_attempt(ATTEMPTS_ONCE)
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
        raise unreachable(error, options.bootstrap_servers) from None
    outage.ends()
    return connected


def _print_progress(progress: ArchiveProgress) -> None:
    rate = progress.records / max(progress.seconds, 1e-9)
    click.echo(
        f"{progress.records:,} records taken ({rate:,.0f}/s), {progress.events:,} in raw, "
        f"{progress.rejected:,} in quarantine, lag {progress.lag:,}",
        err=True,
    )


if __name__ == "__main__":
    run(command)
