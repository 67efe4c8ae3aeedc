"""`lmslake records stream`: school records from Kafka to the tables, without end."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from jobs.build import print_progress
from jobs.cli import run
from jobs.long_running import awaited_store, log_to_stderr, stopping_on_signals

if TYPE_CHECKING:
    from lake.settings import Settings
    from lake.storage import ObjectStore
    from streaming.school_build import RecordsBuilder
    from streaming.school_metrics import SchoolMetrics
    from streaming.school_topics import SchoolOptions

SHORT_PATIENCE = timedelta(seconds=20)


@click.command("stream")
@click.option(
    "--interval",
    type=click.FloatRange(min=0.5),
    default=60.0,
    show_default=True,
    help="Seconds for which messages are read before they are committed and built.",
)
@click.option("--once", is_flag=True, help="End when all that was in Kafka at the start is built.")
@click.option(
    "--build/--no-build", default=True, help="--no-build: to bronze only; another process builds."
)
def command(interval: float, once: bool, build: bool) -> None:
    """Take school records from Kafka to the tables as they come.

    The topic school.<source> (school.students, school.attendance, …) holds one row as one message:
    a JSON object with the columns of the source's files, by the same names. Each message becomes
    one row of bronze.<source>, once, whoever is killed; one that is no object too, with its text.
    Each range of a partition is noted in bronze.landed_files like a file, and goes through the same
    build as files: both may come, at the same time too, and the tables are those of `lmslake land`
    and `lmslake records build`.

    Where each partition goes on is read from the tables, not from a consumer group. While Kafka or
    the store is away the command waits and goes on by itself. SIGTERM and Ctrl-C commit what is
    held and let a build end; a second one ends at once, which loses nothing.

    \b
    Settings (all: lmslake settings):
      LMSLAKE_KAFKA_BOOTSTRAP_SERVERS   brokers, HOST:PORT separated by commas
      LMSLAKE_SCHOOL_TOPICS_PREFIX      what stands before the source in the names of topics
      LMSLAKE_SCHOOL_METRICS_PORT       /metrics, /healthz and /readyz

    \b
    Examples:
      lmslake records stream                     without end, a build each minute
      lmslake records stream --once              up to now, then end: for a scheduler
      lmslake records send --create-topics f.csv some messages to try it with
      lmslake sql "SELECT * FROM bronze.landed_files WHERE file_name LIKE 'kafka:%'"
    """
    from lake.settings import Settings
    from streaming.consumer import KafkaOptions
    from streaming.monitoring import monitored
    from streaming.school import SchoolReader
    from streaming.school_metrics import SchoolHealth, SchoolMetrics
    from streaming.school_stream import Rounds, SchoolStream

    settings = Settings.from_env()
    if build:
        settings.key()
    log_to_stderr()
    kafka = KafkaOptions.from_settings(settings)
    metrics, health = SchoolMetrics(), SchoolHealth()
    with (
        monitored(settings.metrics_host, settings.school_metrics_port, metrics.registry, health),
        stopping_on_signals() as (stopping, call_at_stop),
        ExitStack() as opened,
    ):
        store = awaited_store(settings, stopping, once=once, beat=health.beat)
        if store is None:
            return
        builder = opened.enter_context(_builder(settings, store, metrics)) if build else None
        options = school_options(settings, is_patient=once)
        reader = SchoolReader(kafka, store, options, metrics)
        stream = SchoolStream(
            reader, builder, Rounds(interval, once), kafka.bootstrap_servers, metrics, health
        )
        call_at_stop(stream.stop)
        stream.run()
        click.echo(f"{reader.landed_rows:,} rows landed from Kafka.", err=True)


def school_options(settings: Settings, *, is_patient: bool) -> SchoolOptions:
    """The options that the settings ask for; a patient one waits long for another landing."""
    from streaming.school_topics import SchoolOptions

    return SchoolOptions(
        prefix=settings.school_topics_prefix,
        max_characters=settings.max_record_bytes,
        flush_rows=settings.archive_flush_records,
        flush_bytes=settings.archive_flush_bytes,
        patience=settings.lock_wait if is_patient else min(SHORT_PATIENCE, settings.lock_wait),
    )


def _builder(settings: Settings, store: ObjectStore, metrics: SchoolMetrics) -> RecordsBuilder:
    from jobs.records import print_report
    from lake.pipelines.opened import open_lake
    from streaming.school_build import RecordsBuilder

    return RecordsBuilder(
        settings,
        store,
        lambda: open_lake(settings, "lmslake records stream", grows=True),
        metrics,
        print_progress,
        print_report,
    )


if __name__ == "__main__":
    run(command)
