"""`lmslake records send`: rows of files of school records to Kafka, for demos and tests."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jobs.cli import run
from jobs.long_running import log_to_stderr, stopping_on_signals
from lake.errors import LakeError

if TYPE_CHECKING:
    from lake.landing.reading import Limits
    from lake.settings import Settings
    from schemas.records import Source
    from streaming.delivery import Delivery, DeliveryCounts


@click.command("send")
@click.argument(
    "files",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE…",
)
@click.option("--source", "source_name", metavar="NAME", help="What the FILEs hold.")
@click.option("--create-topics", is_flag=True, help="Make topics that are missing, for demos.")
def command(files: tuple[Path, ...], source_name: str | None, create_topics: bool) -> None:
    """Send the rows of files to Kafka, as a school's own system would.

    Reads what `lmslake land` reads: CSV and JSON of any common encoding and form, also .gz. Every
    row becomes a message of the topic school.<source>: a JSON object of its columns, by the names
    of the source. The key is the student, or what else names the record, so that versions of one
    record stay in order. What a file holds its name says (attendance_2025-09-01.csv), or --source.

    A file that cannot be read whole is not sent; nor are the others then. A row counts when all
    replicas that are in sync have it. To send a file again makes duplicates, which the tables
    do not show.

    \b
    Examples:
      lmslake records send --create-topics students.csv attendance_*.csv
      lmslake records send --source attendance export.csv
      lmslake records stream --once
    """
    from lake.landing.reading import Limits
    from lake.settings import Settings
    from schemas.records import SOURCES
    from streaming.school_send import messages_of

    if source_name and source_name not in SOURCES:
        raise click.BadParameter(f"choose from {', '.join(SOURCES)}", param_hint="--source")
    settings = Settings.from_env()
    limits = Limits(settings.landing_max_file_bytes, settings.max_record_bytes)
    log_to_stderr()
    known = _checked(files, SOURCES[source_name] if source_name else None, limits)
    topics = {source.name: f"{settings.school_topics_prefix}{source.name}" for _, source in known}
    with (
        stopping_on_signals() as (stopping, _),
        _delivery(settings, list(topics.values()), create_topics, stopping) as delivery,
    ):
        for path, source in known:
            for record in messages_of(path, source, topics[source.name], limits):
                if not delivery.send(record):
                    return


def _checked(
    files: Sequence[Path], source: Source | None, limits: Limits
) -> list[tuple[Path, Source]]:
    from lake.landing.faults import FileFault
    from lake.landing.naming import readable
    from streaming.school_send import checked_source

    known = []
    for path in files:
        try:
            found, rows = checked_source(path, source, limits)
        except FileFault as fault:
            raise LakeError(
                f"{readable(path.name)}: {fault.reason}: {fault}\n"
                "  Nothing was sent. Mend the file, or leave it out."
            ) from None
        click.echo(f"{readable(path.name)}   {found.name}   {rows:,} rows")
        known.append((path, found))
    return known


@contextmanager
def _delivery(
    settings: Settings, topics: Sequence[str], create_topics: bool, stopping: threading.Event
) -> Iterator[Delivery]:
    """A delivery that tells at the end, when all is acknowledged, how much was."""
    from streaming.consumer import KafkaOptions
    from streaming.delivery import Delivery
    from streaming.producer import ensure_topics, open_producer

    options = KafkaOptions.from_settings(settings)
    if made := ensure_topics(options, sorted(set(topics)), create_topics):
        click.echo(f"Made the topics {', '.join(made)}.", err=True)
    producer = open_producer(options, settings.max_record_bytes)
    delivery = Delivery(producer, options.bootstrap_servers, stopping)
    ended = threading.Event()
    ticking = threading.Thread(target=_tick, args=(delivery, ended), daemon=True)
    ticking.start()
    try:
        yield delivery
        delivery.finish()
    finally:
        delivery.close()
        ended.set()
        ticking.join()
        _print_counts(delivery.tick())
    delivery.check()


def _tick(delivery: Delivery, ended: threading.Event) -> None:
    """An outage is told while it lasts."""
    while not ended.wait(1.0):
        delivery.tick()


def _print_counts(counts: DeliveryCounts) -> None:
    click.echo(f"{counts.acknowledged:,} messages acknowledged.")
    for topic, number in sorted(counts.by_topic.items()):
        click.echo(f"  {topic:<28} {number:>12,}")


if __name__ == "__main__":
    run(command)
