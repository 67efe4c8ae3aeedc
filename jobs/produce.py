"""`lmslake produce`: made-up or recorded events to Kafka, for demos and tests."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click
from click.core import ParameterSource

from jobs.cli import run
from jobs.long_running import log_to_stderr, stopping_on_signals
from lake.errors import LakeError

if TYPE_CHECKING:
    from lake.settings import Settings
    from streaming.delivery import Delivery, DeliveryCounts
    from streaming.traffic import CampusTraffic, Pace, Record, Replay

SHARE = click.FloatRange(0, 1)
NAMES = {"late": "late", "duplicate": "sent again", "broken": "broken on purpose"}
OF_MADE_EVENTS = ("rate", "students", "late", "duplicates", "broken", "seed")
OF_FILES = ("speed", "now")


@click.command("produce")
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option(
    "--rate",
    type=click.FloatRange(0, min_open=True),
    default=500.0,
    show_default=True,
    help="Records per second.",
)
@click.option("--count", type=click.IntRange(1), help="End after so many records.")
@click.option("--seconds", type=click.FloatRange(0, min_open=True), help="End after so long.")
@click.option(
    "--students",
    type=click.IntRange(5, 1_000_000),
    default=5_000,
    show_default=True,
    help="Size of the made-up campus.",
)
@click.option("--late", type=SHARE, default=0.0, help="Share that happened 1 h to 20 days ago.")
@click.option("--duplicates", type=SHARE, default=0.0, help="Share that is sent a second time.")
@click.option("--broken", type=SHARE, default=0.0, help="Share that the schemas refuse.")
@click.option("--seed", type=int, help="Makes the same events, ids too, at each start; see above.")
@click.option(
    "--speed",
    type=click.FloatRange(0),
    default=1.0,
    show_default=True,
    help="Of files: seconds of event time per second; 0 as fast as it goes.",
)
@click.option("--now", is_flag=True, help="Of files: move all times so that the first is now.")
@click.option("--create-topics", is_flag=True, help="Make topics that are missing, for demos.")
@click.option(
    "--acknowledged",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Append a line per acknowledged record: topic, partition, offset, event_id.",
)
@click.pass_context
def command(
    ctx: click.Context,
    files: tuple[str, ...],
    rate: float,
    count: int | None,
    seconds: float | None,
    students: int,
    late: float,
    duplicates: float,
    broken: float,
    seed: int | None,
    speed: float,
    now: bool,
    create_topics: bool,
    acknowledged: Path | None,
) -> None:
    """Send events to Kafka: those of a made-up campus, or those of files again.

    Without FILE, students that do not exist open pages, watch videos, answer quizzes and submit
    assignments, now, until Ctrl-C. Their records go to the topics clickstream, video, quiz and
    assignment where LMSLAKE_KAFKA_TOPICS names them, else to its first topic; the key is the
    student, so that a student's events stay in order. Without --seed every start makes new
    events; with it the ids repeat, so use it for one run per lake.

    With FILE (.json .jsonl .gz, a folder, - for standard input) records are sent as they are, in
    the pace of their times. The archiver refuses events of more than LMSLAKE_MAX_EVENT_AGE_DAYS
    ago: --now makes old ones new. At a --speed above 1 moved times run ahead of the clock, and are
    refused (in_future) from LMSLAKE_MAX_CLOCK_SKEW_MINUTES on.

    A record counts when Kafka has acknowledged it. While Kafka is away the producer waits and goes
    on by itself; what did not happen meanwhile is not made up for. SIGTERM and Ctrl-C send what is
    held, then end; a second one ends at once.

    \b
    Examples:
      lmslake produce --create-topics --seconds 60
      lmslake produce --rate 2000 --late 0.02 --duplicates 0.01 --broken 0.005
      lmslake produce --speed 60 events.jsonl.gz
    """
    _check_usage(ctx, OF_MADE_EVENTS if files else OF_FILES, bool(files))
    from lake.settings import Settings
    from lake.sources import find_files
    from streaming.traffic import CampusTraffic, Pace, Quirks, Replay

    settings = Settings.from_env()
    topics = list(settings.topics)
    paths, _ = find_files(files)
    if files and not paths:
        raise LakeError(f"There is no file of events in {', '.join(files)}.")
    log_to_stderr()
    with (
        stopping_on_signals() as (stopping, _),
        _opened(acknowledged) as file,
        _delivery(settings, create_topics, stopping, file) as delivery,
    ):
        pace = Pace(stopping, seconds)
        if paths:
            replay = Replay(topics, speed, datetime.now(UTC) if now else None)
            records = _replayed(replay, paths, settings.max_record_bytes, pace)
        else:
            quirks = Quirks(late, duplicates, broken)
            campus = CampusTraffic(random.Random(seed), topics, quirks, students)
            records = _made(campus, rate, pace)
        for sent, record in enumerate(records, 1):
            if not delivery.send(record) or sent == count:
                break


def _check_usage(ctx: click.Context, meaningless: Sequence[str], has_files: bool) -> None:
    for name in meaningless:
        if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            where = "has no meaning with files" if has_files else "needs files"
            raise click.UsageError(f"--{name} {where}.", ctx)


def _made(traffic: CampusTraffic, rate: float, pace: Pace) -> Iterator[Record]:
    number = 0
    while pace.wait(number / rate):
        yield traffic.record(datetime.now(UTC))
        number += 1


def _replayed(
    replay: Replay, paths: Sequence[Path], max_record_bytes: int, pace: Pace
) -> Iterator[Record]:
    from lake.sources import opened_source

    for path in paths:
        passed_over: list[str] = []
        with opened_source(path) as source:
            for item in source.records(max_record_bytes):
                if item.error is not None:
                    passed_over.append(f"record {item.offset}: {item.error[1]}")
                    continue
                due_seconds, record = replay.record(item.raw)
                if not pace.wait(due_seconds):
                    return
                yield record
        if passed_over:
            click.echo(
                f"{path}: {len(passed_over)} passed over, the first: {passed_over[0]}", err=True
            )


@contextmanager
def _opened(path: Path | None) -> Iterator[TextIO | None]:
    if path is None:
        yield None
        return
    try:
        file = path.open("a", encoding="utf-8")
    except OSError as error:
        raise LakeError(f"{path} cannot be written: {error.strerror}") from None
    with file:
        yield file


@contextmanager
def _delivery(
    settings: Settings,
    create_topics: bool,
    stopping: threading.Event,
    file: TextIO | None,
) -> Iterator[Delivery]:
    """A delivery that reports each second, and at the end, when all is acknowledged."""
    from streaming.consumer import KafkaOptions
    from streaming.delivery import Delivery
    from streaming.producer import ensure_topics, open_producer

    options = KafkaOptions.from_settings(settings)
    if made := ensure_topics(options, list(settings.topics), create_topics):
        click.echo(f"Made the topics {', '.join(made)}.", err=True)
    producer = open_producer(options, settings.max_record_bytes)
    delivery = Delivery(producer, options.bootstrap_servers, stopping, file)
    ended = threading.Event()
    reports = threading.Thread(target=_report, args=(delivery, ended), daemon=True)
    began = time.monotonic()
    reports.start()
    try:
        yield delivery
        delivery.finish()
    finally:
        delivery.close()
        ended.set()
        reports.join()
        _print_summary(delivery.tick(), time.monotonic() - began)
    delivery.check()


def _report(delivery: Delivery, ended: threading.Event) -> None:
    before, then = 0, time.monotonic()
    while not ended.wait(1.0):
        counts, now = delivery.tick(), time.monotonic()
        rate = (counts.acknowledged - before) / (now - then)
        before, then = counts.acknowledged, now
        click.echo(
            f"{rate:,.0f} records/s, {counts.acknowledged:,} acknowledged, "
            f"{counts.failed:,} failed, {counts.waiting:,} on their way",
            err=True,
        )


def _print_summary(counts: DeliveryCounts, seconds: float) -> None:
    rate = counts.acknowledged / max(seconds, 1e-9)
    click.echo(f"{counts.acknowledged:,} records acknowledged in {seconds:.1f} s ({rate:,.0f}/s).")
    quirks = [f"{counts.by_kind[kind]:,} {name}" for kind, name in NAMES.items()]
    if any(counts.by_kind[kind] for kind in NAMES):
        click.echo(f"  Of these: {', '.join(quirks)}.")
    for topic, number in sorted(counts.by_topic.items()):
        click.echo(f"  {topic:<20} {number:>12,}")


if __name__ == "__main__":
    run(command)
